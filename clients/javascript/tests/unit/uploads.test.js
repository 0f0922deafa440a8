import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { Longhaul } from "../../longhaul.js";
import { standIn } from "../stand_in.js";

const TEXT = "# Title\n\nÄ text.\n";

/** @param {(declared: any) => number} [statusOf] Of each PUT. */
async function store(statusOf = () => 200) {
  /** @type {any[]} */
  const declared = [];
  /** @type {any[]} */
  const put = [];
  const { url } = await standIn({
    answer: (request, response) => {
      if (request.method === "POST") {
        declared.push(JSON.parse(request.body));
        const { content_type, sha256 } = declared[0];
        const headers = { "Content-Type": content_type, "x-amz-checksum-sha256": sha256 };
        const offer = { upload_id: "upl_1", method: "PUT", url: `${url}/bucket/key?sig=1`, headers, expires_at: "" };
        response.writeHead(201).end(JSON.stringify(offer));
      } else {
        put.push({ body: request.body, headers: request.headers });
        response.writeHead(statusOf(declared)).end("<Error/>");
      }
    },
  });
  return { client: new Longhaul({ baseUrl: url, apiKey: "secret" }), declared, put };
}

test("a file goes to the object store as it was declared, without the credential", async () => {
  const { client, declared, put } = await store();
  const sha256 = createHash("sha256").update(TEXT).digest("base64");
  /** @type {unknown[]} */
  const sent = [];

  const upload = await client.uploads.create(new Blob([TEXT]), {
    name: "notes.MD",
    onProgress: (progress) => sent.push(progress),
  });

  const bytes = Buffer.byteLength(TEXT);
  assert.deepEqual(upload, { upload_id: "upl_1", name: "notes.MD", content_type: "text/markdown", bytes });
  assert.deepEqual(declared, [{ content_type: "text/markdown", bytes, sha256, name: "notes.MD" }]);
  assert.equal(put[0].body, TEXT);
  assert.equal(put[0].headers["x-amz-checksum-sha256"], sha256);
  assert.equal(put[0].headers["content-type"], "text/markdown");
  assert.equal(put[0].headers.authorization, undefined);
  assert.deepEqual(sent, [{ sent: 0, total: bytes }, { sent: bytes, total: bytes }]);
});

test("a type is taken without its parameters", async () => {
  const { client, declared } = await store();

  await client.uploads.create(new Blob([TEXT], { type: "text/plain;charset=utf-8" }));

  assert.deepEqual([declared[0].content_type, declared[0].name], ["text/plain", "document"]);
});

test("a file of which nothing says what it is is not uploaded", async () => {
  const { client, declared } = await store();

  await assert.rejects(client.uploads.create(new Blob([TEXT])), { code: "unknown_content_type" });
  assert.deepEqual(declared, []);
});

test("an object store that refuses is an error with its status", async () => {
  const { client, put } = await store(() => 403);

  const refusal = client.uploads.create(new Blob([TEXT]), { contentType: "text/plain" });

  await assert.rejects(refusal, { code: "upload_refused", status: 403 });
  assert.equal(put.length, 1);
});

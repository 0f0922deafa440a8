/** The console: which view is shown, for whom, and what the views have in common. */

import { showConnection, showOffline } from "./connection.js";
import { byId, setText } from "./dom.js";
import { JobList } from "./job_list.js";
import { JobView } from "./job_view.js";
import { clientWith, isRefusal, session } from "./session.js";
import { SubmitForm } from "./submit_form.js";
import { offerThemes } from "./theme.js";

const JOB = /^#\/jobs\/([\w-]{1,100})$/;
const VIEWS = /** @type {const} */ (["sign-in", "new", "job"]);

let client = clientWith(session.key(), showConnection);
let isAdmitted = false;

const announce = (/** @type {string} */ what) => setText(byId("announcer", HTMLElement), what);
const list = new JobList(onRefused);
const view = new JobView({ announce, onRefused });
new SubmitForm({
  client: () => client,
  announce,
  onRefused,
  onSubmitted: (job) => {
    list.add(job);
    location.hash = `#/jobs/${job.id}`;
  },
});

/** A credential that is not taken, any more or at all, is asked for anew. @param {unknown} error */
function onRefused(error) {
  if (isRefusal(error) && isAdmitted) askForKey(error);
}

/** @param {unknown} problem */
function askForKey(problem) {
  isAdmitted = false;
  session.forget();
  client.close();
  list.close();
  view.close();
  showOffline();
  show("sign-in");
  const said = byId("sign-in-problem", HTMLElement);
  said.hidden = problem === null;
  setText(said, problem instanceof Error ? `The key was not taken: ${problem.message}` : "");
  byId("key", HTMLInputElement).focus();
}

async function enter() {
  try {
    await list.open(client);
  } catch (error) {
    if (isRefusal(error)) return askForKey(session.key() ? error : null);
    showOffline();
    list.tell(error);
  }
  isAdmitted = true;
  byId("sign-out", HTMLElement).hidden = session.key() === "";
  route();
}

/** Show what the address says: a reload comes back to the same job. */
function route() {
  if (!isAdmitted) return;
  const jobId = JOB.exec(location.hash)?.[1];
  list.mark(jobId ?? "");
  if (jobId !== undefined) {
    show("job");
    view.open(client, jobId);
  } else {
    view.close();
    document.title = "Longhaul";
    show("new");
  }
  document.body.dataset.view = jobId ? "job" : location.hash === "#/jobs" ? "list" : "new";
  for (const [id, isHere] of /** @type {Array<[string, boolean]>} */ ([
    ["to-new", !jobId && location.hash !== "#/jobs"],
    ["to-list", location.hash === "#/jobs"],
  ])) {
    byId(id, HTMLElement).toggleAttribute("aria-current", isHere);
  }
}

/** @param {typeof VIEWS[number]} shown */
function show(shown) {
  for (const name of VIEWS) byId(name, HTMLElement).hidden = name !== shown;
}

/** Lead who uses a keyboard or listens to the view that they have gone to. */
function turn() {
  route();
  if (!isAdmitted) return;
  scrollTo(0, 0);
  const heading = { job: "job-title", list: "list-title", new: "new-title" }[document.body.dataset.view ?? "new"];
  byId(heading ?? "new-title", HTMLElement).focus({ preventScroll: true });
}

byId("skip", HTMLElement).addEventListener("click", (event) => {
  event.preventDefault(); // the address after # says which job is shown
  byId("main", HTMLElement).focus();
});
byId("sign-in-form", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  const field = byId("key", HTMLInputElement);
  session.keep(field.value.trim());
  field.value = "";
  client = clientWith(session.key(), showConnection);
  void enter();
});
byId("sign-out", HTMLElement).addEventListener("click", () => {
  session.forget();
  location.hash = "#/";
  location.reload();
});
addEventListener("hashchange", turn);
offerThemes(byId("theme", HTMLButtonElement));
void enter();

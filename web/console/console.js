/** The console: which view is shown, for whom, and what the views have in common. */

import { probe, showConnection, showOffline, showReach } from "./connection.js";
import { byId, setText } from "./dom.js";
import { JobList } from "./job_list.js";
import { JobView } from "./job_view.js";
import { placeOf } from "./places.js";
import { Reach } from "./reach.js";
import { clientWith, isRefusal, session } from "./session.js";
import { SubmitForm } from "./submit_form.js";
import { offerThemes } from "./theme.js";

const VIEWS = /** @type {const} */ (["sign-in", "new", "job", "nowhere"]);

const announce = (/** @type {string} */ what) => setText(byId("announcer", HTMLElement), what);
const reach = new Reach({ probe, onChange });
let client = clientWith(session.key(), onConnection);
let isAdmitted = false;

const list = new JobList(onRefused);
const view = new JobView({ announce, onRefused, now: reach.now });
const form = new SubmitForm({
  client: () => client,
  announce,
  onRefused,
  onSubmitted: (job) => {
    list.add(job);
    location.hash = `#/jobs/${job.id}`;
  },
});

/** @param {import("/static/longhaul/live_socket.js").Connection} connection */
function onConnection(connection) {
  showConnection(connection);
  reach.hear(connection.state);
}

/** @param {number | null} lostSince */
function onChange(lostSince) {
  showReach(lostSince);
  if (lostSince !== null || !isAdmitted) return;
  announce("The server is reached again");
  form.comeBack();
  view.comeBack();
}

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
  reach.forget();
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
  const { view: place, jobId } = placeOf(location.hash);
  list.mark(jobId);
  show(place === "list" ? "new" : place);
  if (place === "job") view.open(client, jobId);
  else view.close();
  if (place !== "job") document.title = place === "nowhere" ? "No such page – Longhaul" : "Longhaul";
  if (place === "nowhere") announce("There is no such page");
  document.body.dataset.view = place;
  byId("to-new", HTMLElement).toggleAttribute("aria-current", place === "new");
  byId("to-list", HTMLElement).toggleAttribute("aria-current", place === "list");
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
  byId(`${document.body.dataset.view}-title`, HTMLElement).focus({ preventScroll: true });
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
  client = clientWith(session.key(), onConnection);
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

import { isTerminalStatus } from "/static/longhaul/longhaul.js";
import { Answer } from "./answer.js";
import { byId, setText } from "./dom.js";
import { problemNodes, showFacts } from "./job_facts.js";
import { liveOf, momentOf } from "./live.js";
import { Timeline } from "./timeline.js";
import { duration, statusWord, titleOf, wholeDuration } from "./words.js";

/**
 * @import { Longhaul, JobWatch } from "/static/longhaul/longhaul.js"
 * @import { JobSnapshot } from "/static/longhaul/watch.js"
 */

const TICK_MS = 250;

/** One job: its state, its text as it comes, its timeline. */
export class JobView {
  #title = byId("job-title", HTMLElement);
  #status = byId("job-status", HTMLElement);
  #attempt = byId("job-attempt", HTMLElement);
  #clock = byId("job-clock", HTMLElement);
  #wait = byId("job-wait", HTMLElement);
  #parts = byId("job-parts", HTMLElement);
  #problem = byId("job-problem", HTMLElement);
  #skeleton = byId("skeleton", HTMLElement);
  #none = byId("answer-none", HTMLElement);
  #cancel = byId("cancel", HTMLButtonElement);
  #redrive = byId("redrive", HTMLButtonElement);
  /** @type {Timeline} */
  #timeline;
  /** @type {JobWatch | null} */
  #watch = null;
  /** @type {() => void} */
  #leave = () => {};
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking;
  /** What was told last, so that only what is new is told. */
  #told = "";
  #moment = "";

  /** Why a button's verb was not done: shown for as long as the job stands as it did. @type {Error | null} */
  #refusal = null;
  /** @type {JobSnapshot["status"]} */
  #refusedIn = null;

  /**
   * @param {object} terms
   * @param {(what: string) => void} terms.announce
   * @param {(error: unknown) => void} terms.onRefused
   * @param {() => number} terms.now Up to when anything is known, in milliseconds since 1970.
   */
  constructor({ announce, onRefused, now }) {
    this.#announce = announce;
    this.#onRefused = onRefused;
    this.#now = now;
    this.#timeline = new Timeline(now);
    this.#answer = new Answer(announce);
    const cancel = () => this.#watch?.cancel();
    const redrive = () => this.#watch?.redrive();
    this.#cancel.addEventListener("click", () => this.#act(this.#cancel, "Cancelling…", cancel));
    this.#redrive.addEventListener("click", () => this.#act(this.#redrive, "Starting…", redrive));
  }

  /** @type {(what: string) => void} */
  #announce;
  /** @type {(error: unknown) => void} */
  #onRefused;
  /** @type {Answer} */
  #answer;
  /** @type {() => number} */
  #now;
  /** @type {() => void} */
  #reopen = () => {};

  /**
   * @param {Longhaul} client
   * @param {string} jobId
   */
  open(client, jobId) {
    this.close();
    this.#reopen = () => this.open(client, jobId);
    this.#refusal = null;
    this.#told = this.#moment = "";
    this.#answer.clear(jobId);
    byId("facts", HTMLElement).replaceChildren();
    this.#timeline.open(client.jobs, jobId);
    const watch = (this.#watch = client.jobs.watch(jobId));
    this.#leave = watch.subscribe(() => this.#show(watch.getSnapshot()));
    this.#ticking = setInterval(() => this.#tick(watch.getSnapshot()), TICK_MS);
    this.#show(watch.getSnapshot());
  }

  close() {
    this.#leave();
    this.#leave = () => {};
    this.#watch = null;
    clearInterval(this.#ticking);
    this.#timeline.close();
  }

  /** The server is reached again: take back what only said that it was not. */
  comeBack() {
    const seen = this.#watch?.getSnapshot();
    if (!seen) return;
    if (mayPass(seen.error)) return this.#reopen();
    if (mayPass(this.#refusal)) this.#refusal = null;
    this.#show(seen);
    this.#timeline.reread();
  }

  /** @param {Readonly<JobSnapshot>} seen */
  #show(seen) {
    const { job, status, text, error, isEnded } = seen;
    const isMissing = job === null && error !== null && "code" in error && error.code === "job_not_found";
    byId("job", HTMLElement).classList.toggle("is-missing", isMissing);
    setText(this.#title, job ? titleOf(job) : isMissing ? "No such job" : "Job");
    document.title = job ? `${titleOf(job)} – Longhaul` : "Longhaul";
    this.#status.dataset.status = status ?? "";
    setText(this.#status, status === null && error !== null ? "Not read" : statusWord(status));
    setText(byId("job-model", HTMLElement), job?.model ?? "");
    this.#showAttempt(seen);
    this.#showParts(seen);
    this.#showProblem(seen);
    this.#answer.show(text, { isWhole: isEnded });
    this.#skeleton.hidden = text !== "" || isEnded || error instanceof Error;
    this.#none.hidden = text !== "" || !isEnded;
    this.#cancel.hidden = status === null || isTerminalStatus(status);
    this.#redrive.hidden = !["FAILED", "EXPIRED", "CANCELLED"].includes(status ?? "");
    if (job) showFacts(job);
    this.#tick(seen);
    if (isMissing && this.#told !== "missing") this.#announce("There is no such job");
    if (isMissing) this.#told = "missing";
    this.#note(seen);
  }

  /** @param {Readonly<JobSnapshot>} seen */
  #showAttempt({ job, status, attempt }) {
    const most = job?.max_attempts ?? 0;
    const number = Math.max(attempt, status === "RUNNING" || status === "PENDING_RETRY" ? 1 : 0);
    setText(this.#attempt, number > 0 && most > 0 ? `Attempt ${number} of ${Math.max(number, most)}` : "");
  }

  /** @param {Readonly<JobSnapshot>} seen */
  #showParts({ progress, isEnded }) {
    this.#parts.hidden = progress === null || isEnded;
    if (progress === null) return;
    const bar = byId("parts", HTMLProgressElement);
    bar.max = Math.max(1, progress.total);
    bar.value = progress.done;
    setText(byId("parts-text", HTMLElement), `${progress.done} of ${progress.total} read`);
  }

  /** @param {Readonly<JobSnapshot>} seen */
  #showProblem({ error, status, job }) {
    if (status !== this.#refusedIn) this.#refusal = null;
    const shown = this.#refusal ?? (status === "PENDING_RETRY" ? null : error);
    this.#problem.hidden = shown === null;
    if (shown === null) return;
    if (shown instanceof Error) this.#onRefused(shown);
    const traceId = shown instanceof Error && "traceId" in shown ? String(shown.traceId ?? "") : job?.trace_id;
    this.#problem.replaceChildren(...problemNodes(shown, traceId));
  }

  /** What changes by time alone. @param {Readonly<JobSnapshot>} seen */
  #tick({ job, status, error, retryAt, isEnded }) {
    const isWaiting = status === "PENDING_RETRY" && retryAt !== null;
    this.#wait.hidden = !isWaiting;
    if (isWaiting) {
      const left = Math.ceil((retryAt - this.#now()) / 1000) * 1000;
      setText(byId("job-wait-why", HTMLElement), `${sentence(error?.message ?? "The attempt failed")} Next attempt`);
      setText(byId("job-wait-timer", HTMLElement), left > 0 ? `in ${wholeDuration(left)}` : "now");
    }
    if (!job) return setText(this.#clock, "");
    const end = job.ended_at ? Date.parse(job.ended_at) : isEnded ? null : this.#now();
    const word = job.ended_at ? duration : wholeDuration; // fractions only where they stand still
    if (end !== null) setText(this.#clock, word(end - Date.parse(job.created_at)));
  }

  /**
   * Tell who listens what has happened, and read the steps anew; the text itself is not told.
   *
   * @param {Readonly<JobSnapshot>} seen
   */
  #note(seen) {
    const { status, attempt, error, retryAt } = seen;
    if (status === null) return;
    this.#timeline.follow(liveOf(seen, Date.now()));
    const moment = momentOf(seen);
    if (moment !== this.#moment) this.#timeline.reread();
    this.#moment = moment;
    const told = `${status} ${attempt}`;
    if (told === this.#told) return;
    this.#told = told;
    const after = status === "PENDING_RETRY" && retryAt !== null ? wholeDuration(retryAt - Date.now()) : "";
    const why = error?.message ? `: ${error.message}` : "";
    if (status === "PENDING_RETRY") {
      this.#announce(`${sentence(`Attempt ${attempt} failed${why}`)} Next attempt in ${after}`);
    } else if (status === "RUNNING") this.#announce(`Job is running, attempt ${Math.max(1, attempt)}`);
    else this.#announce(`Job: ${statusWord(status)}${why}`);
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {string} meanwhile
   * @param {() => Promise<unknown> | undefined} verb
   */
  async #act(button, meanwhile, verb) {
    const watch = this.#watch;
    const word = button.textContent ?? "";
    this.#refusal = null;
    button.disabled = true;
    setText(button, meanwhile);
    try {
      await verb();
      this.#title.focus(); // the button goes with the state that it was for
    } catch (error) {
      if (watch === null || watch !== this.#watch) return; // another job is shown
      this.#refusal = /** @type {Error} */ (error);
      this.#refusedIn = watch.getSnapshot().status;
      this.#announce(this.#refusal.message);
      this.#showProblem(watch.getSnapshot());
    } finally {
      button.disabled = false;
      setText(button, word);
    }
  }
}

/** @param {unknown} error */
const mayPass = (error) => error instanceof Error && "retryable" in error && error.retryable === true;

/** @param {string} words */
const sentence = (words) => (/[.!?]$/.test(words) ? words : `${words}.`);

/*
 * The page is whole without this script. It keeps what is shown up to date,
 * and shows what a filter finds while it is typed. What the server sends is
 * parsed as a document, never as text put into this one.
 */
"use strict";

const PERIOD_MS = 5000;
const TYPING_MS = 250;

const live = () => document.querySelectorAll("[data-live]");

/* Nothing is taken away from under the pointer, the keyboard or the eye. */
function isInUse(part) {
	const selection = document.getSelection();
	const focused = document.activeElement;

	return (part.contains(focused) && focused.matches("input, select")) ||
	    part.querySelector("details[open]") !== null ||
	    [...part.querySelectorAll("input")].some(
		(field) => field.value !== field.defaultValue) ||
	    (!selection.isCollapsed && selection.intersectsNode &&
		selection.containsNode(part, true));
}

function focusAgain(part, path) {
	const same = [...part.querySelectorAll("a, button, summary")].find(
	    (e) => (e.getAttribute("href") || e.textContent) === path);

	if (same)
		same.focus({preventScroll: true});
}

function replace(part, fresh) {
	const focused = document.activeElement;
	const path = part.contains(focused) &&
	    (focused.getAttribute("href") || focused.textContent);

	part.replaceWith(document.adoptNode(fresh));
	if (path)
		focusAgain(fresh, path);
}

function show(fresh) {
	const updated = fresh.getElementById("updated");

	for (const part of live()) {
		const other = fresh.getElementById(part.id);

		if (other && !isInUse(part) && !other.isEqualNode(part))
			replace(part, other);
	}
	if (updated)
		document.getElementById("updated").textContent =
		    updated.textContent;
}

function complain() {
	document.getElementById("updated").textContent =
	    "coordd does not answer: what is shown may be old";
}

/* One request at a time: the last one asked for counts. */
let under = null;

function refresh() {
	const request = new XMLHttpRequest();

	if (under)
		under.abort();
	under = request;
	request.open("GET", location.pathname + location.search);
	request.responseType = "document";
	request.onload = () => {
		under = null;
		if (request.status === 401)
			location.reload();
		else if (request.status === 200 && request.response)
			show(request.response);
		else
			complain();
	};
	request.onerror = () => {
		under = null;
		complain();
	};
	request.send();
}

function filterWhileTyped(form) {
	let timer = 0;

	const apply = () => {
		const values = new URLSearchParams(new FormData(form));

		for (const [name, value] of [...values])
			if (value === "")
				values.delete(name);
		history.replaceState(
		    null, "", form.getAttribute("action") +
			(values.size > 0 ? "?" + values : ""));
		refresh();
	};
	for (const kind of ["input", "change"])
		form.addEventListener(kind, () => {
			clearTimeout(timer);
			timer = setTimeout(apply, TYPING_MS);
		});
	form.addEventListener("submit", (event) => {
		event.preventDefault();
		clearTimeout(timer);
		apply();
	});
}

const search = document.querySelector("form[role=search]");

if (search)
	filterWhileTyped(search);
/* "Done." is said once, not again when the page is loaded anew. */
if (new URLSearchParams(location.search).has("done"))
	history.replaceState(null, "", location.pathname);
if (live().length > 0)
	setInterval(() => {
		if (!document.hidden && !under)
			refresh();
	}, PERIOD_MS);

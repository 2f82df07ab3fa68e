// The coffee shop's page: shows the menu, places orders, follows them.
// Paths are relative, so that the shop may live below any prefix.

const MENU = "p/v1-get-item-types";
const ORDERS = "c/v1/api/orders";
const BOARD = "c/v1/api/fulfillment-orders?size=12";

const FIRST_FOOD = 6; // item types before it are drinks
const WEB = 1; // the order's source
const REFRESH_MS = 2000; // between two looks at everybody's orders
const PATIENCE_MS = 15000; // for one answer

const STATUS = ["Placed", "In progress", "Fulfilled", "Refunded"];
const FINAL = 2; // this status and those after it stay
const NAMES = {
  COFFEE_BLACK: "Black coffee",
  COFFEE_WITH_ROOM: "Coffee with room",
  ESPRESSO_DOUBLE: "Double espresso",
  CAKEPOP: "Cake pop",
  CROISSANT_CHOCOLATE: "Chocolate croissant",
};

const byId = (id) => document.getElementById(id);
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const chosen = new Map(); // card's input by item
const own = new Set(); // ids of the orders placed here
const entries = new Map(); // element on the board by order id
let attempt = null; // the order that is being placed, with its idempotency key

start();

async function start() {
  byId("order").addEventListener("submit", place);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  refreshForEver();
  await showMenu();
}

// ---- the menu

async function showMenu() {
  try {
    const items = await json(await get(MENU));
    for (const item of items) addCard(item);
  } catch (error) {
    byId("menu-state").textContent = `The menu cannot be shown: ${error.message}`;
    return;
  }
  byId("menu-state").hidden = true;
  for (const id of ["drinks", "food", "checkout"]) byId(id).hidden = false;
}

function addCard(item) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  const input = card.querySelector("input");
  const name = nameOf(item);
  card.querySelector("img").src = item.image;
  card.querySelector(".name").textContent = name;
  card.querySelector(".price").textContent = dollars.format(item.price);
  card.querySelector(".stepper").setAttribute("aria-label", name);
  input.setAttribute("aria-label", `How many: ${name}, ${dollars.format(item.price)}`);
  input.id = `item-${item.itemType}`;
  const steps = { less: -1, more: 1 };
  for (const [step, by] of Object.entries(steps)) {
    const button = card.querySelector(`.${step}`);
    button.setAttribute("aria-label", `One ${step === "more" ? "more" : "less"}: ${name}`);
    button.addEventListener("click", () => setCount(input, count(input) + by));
  }
  input.addEventListener("change", () => setCount(input, count(input)));
  input.addEventListener("focus", () => input.select());
  chosen.set(item, input);
  byId(item.itemType < FIRST_FOOD ? "drinks" : "food").querySelector("ul").append(card);
}

function count(input) {
  const number = Math.trunc(Number(input.value));
  return Number.isFinite(number) ? Math.min(Math.max(number, 0), Number(input.max)) : 0;
}

function setCount(input, number) {
  input.value = number;
  input.value = count(input);
  input.closest(".card").classList.toggle("chosen", count(input) > 0);
  attempt = null;
  byId("problem").textContent = "";
  showSum();
}

function showSum() {
  let [items, total] = [0, 0];
  for (const [item, input] of chosen) {
    items += count(input);
    total += count(input) * item.price;
  }
  const words = items === 1 ? "1 item" : `${items} items`;
  byId("count").textContent = items === 0 ? "Nothing chosen" : words;
  byId("total").textContent = dollars.format(total);
}

function nameOf(item) {
  const words = item.name.toLowerCase().replaceAll("_", " ");
  return NAMES[item.name] ?? words[0].toUpperCase() + words.slice(1);
}

// ---- an order

async function place(event) {
  event.preventDefault();
  const button = byId("place");
  if (button.ariaDisabled === "true") return;
  const order = newOrder();
  if (order.baristaItems.length + order.kitchenItems.length === 0) {
    byId("problem").textContent = "Choose something first.";
    document.querySelector(".stepper input").focus();
    return;
  }
  // Until it has been answered the same order keeps its key, so that another try is not another order.
  attempt ??= { key: uuid(), order };
  attempt.order.location = order.location;
  button.ariaDisabled = "true";
  byId("problem").textContent = "";
  try {
    const answer = await fetch(ORDERS, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": attempt.key },
      body: JSON.stringify(attempt.order),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const { id } = await json(answer);
    own.add(id);
    tell(`Order ${numberOf(id)} is placed.`);
    for (const input of chosen.values()) setCount(input, 0);
    follow(id);
    refresh();
  } catch (error) {
    byId("problem").textContent = `The order was not placed: ${error.message}`;
  } finally {
    button.ariaDisabled = "false";
  }
}

function newOrder() {
  const items = (isWanted) =>
    [...chosen]
      .filter(([item]) => isWanted(item.itemType))
      .flatMap(([item, input]) => Array(count(input)).fill({ itemType: item.itemType }));
  return {
    commandType: 0,
    orderSource: WEB,
    location: Number(byId("location").value),
    baristaItems: items((type) => type < FIRST_FOOD),
    kitchenItems: items((type) => type >= FIRST_FOOD),
    timestamp: new Date().toISOString(),
  };
}

/** Shows an order's changes until it has ended, which is when the server ends the stream. */
function follow(id) {
  const changes = new EventSource(`${ORDERS}/${id}/events`);
  changes.addEventListener("order", (event) => {
    const order = JSON.parse(event.data);
    show(order);
    if (order.orderStatus >= FINAL) {
      changes.close();
      tell(`Order ${numberOf(id)} is ${STATUS[order.orderStatus].toLowerCase()}.`);
    }
  });
}

// ---- everybody's orders

async function refreshForEver() {
  await refresh();
  setTimeout(refreshForEver, REFRESH_MS);
}

async function refresh() {
  if (document.hidden) return;
  try {
    const orders = await json(await get(BOARD));
    for (const order of orders.reverse()) show(order);
    const shown = new Set(orders.map((order) => order.id));
    for (const [id, entry] of entries) {
      if (!shown.has(id)) {
        entry.remove();
        entries.delete(id);
      }
    }
    byId("board-state").textContent = "No orders yet. Yours could be the first.";
    byId("board-state").hidden = orders.length > 0;
  } catch (error) {
    byId("board-state").textContent = `The orders cannot be shown now: ${error.message}`;
    byId("board-state").hidden = false;
  }
}

/** Adds an order at the top of the board, or changes the one that is there. */
function show(order) {
  let entry = entries.get(order.id);
  if (!entry) {
    entry = newEntry(order);
    entries.set(order.id, entry);
    byId("board").prepend(entry);
    byId("board-state").hidden = true;
  }
  // A slow answer may be older than what is shown.
  if (entry.dataset.updated > order.updatedAt) return;
  entry.dataset.updated = order.updatedAt;
  entry.dataset.status = order.orderStatus;
  entry.querySelector(".status").textContent = STATUS[order.orderStatus] ?? "Unknown";
  entry.classList.toggle("own", own.has(order.id));
  entry.querySelector(".mine").hidden = !own.has(order.id);
}

function newEntry(order) {
  const entry = byId("entry").content.firstElementChild.cloneNode(true);
  const placed = new Date(order.placedAt);
  entry.dataset.id = order.id;
  entry.dataset.updated = "";
  entry.classList.add("fresh");
  entry.querySelector(".number").textContent = numberOf(order.id);
  entry.querySelector("time").dateTime = order.placedAt;
  entry.querySelector("time").textContent = clock.format(placed);
  entry.querySelector(".items").textContent = summary(order.itemLines);
  entry.querySelector(".price").textContent = dollars.format(order.total);
  return entry;
}

function summary(lines) {
  const counts = new Map();
  for (const line of lines) counts.set(nameOf(line), (counts.get(nameOf(line)) ?? 0) + 1);
  return [...counts].map(([name, number]) => (number > 1 ? `${number} × ${name}` : name)).join(", ");
}

/** What is called out at the counter: the end of the id is different for every order. */
function numberOf(id) {
  return `#${id.slice(-5).toUpperCase()}`;
}

// ---- the network, and those who listen instead of looking

function get(url) {
  return fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) });
}

async function json(answer) {
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? problem.title ?? `the shop answered ${answer.status}`);
}

function tell(news) {
  byId("news").textContent = news;
}

/** crypto.randomUUID is only there on https and localhost. */
function uuid() {
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0"));
  return hex.join("");
}

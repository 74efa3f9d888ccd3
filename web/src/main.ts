// Puts the parts together: sound, phone, link and desk, and the page that shows them.

import "./app.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { Desk } from "./desk.svelte";
import { Link, socketAt } from "./link";
import { Phone } from "./phone";
import { Sound } from "./sound.svelte";
import { ui } from "./ui.svelte";

const sound = new Sound();
const phone = new Phone(sound);
const link = new Link(socketAt(location));
const desk = new Desk(link, phone);

const elsewhere = () => {
  link.hurry();
  phone.restartAll();
};
addEventListener("online", elsewhere);
// Only Chromium tells of a change from one network to another.
(navigator as { connection?: EventTarget }).connection?.addEventListener("change", elsewhere);
ui.keep();
desk.resume();

const target = document.getElementById("desk");
if (target) mount(App, { target, props: { desk, sound } });

import { mount } from "svelte";
import App from "./App.svelte";
import { look } from "./lib/state/theme.svelte";
import "./tokens.css";
import "./controls.css";
import "./app.css";

look.open();
mount(App, { target: document.body });

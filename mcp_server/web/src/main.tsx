import "./theme.css";
import "./list/list.css";
import "./thread/thread.css";
import "./tree/tree.css";
import "./stats/stats.css";
import "./dialogs/dialogs.css";
import { render } from "preact";
import { App } from "./app.tsx";
import { connect } from "./link/connect.ts";
import { failedToStart, started } from "./shell/start.ts";

const place = document.getElementById("page");
if (place) render(<App />, place);

connect().then(started, failedToStart);

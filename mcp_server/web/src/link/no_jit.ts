/** Comes before whatever checks by zod: its fast path makes code from text, which the page's policy forbids. */

import { config } from "zod";

config({ jitless: true });

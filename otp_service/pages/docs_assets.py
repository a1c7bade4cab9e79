"""The style and the script of /docs, and the policy that allows only these two."""

import base64
import hashlib

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --panel: #f4f5f3; --ink: #1b2323; --soft: #556161; --line: #d5dad8; --accent: #0b6e6e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121717; --panel: #1b2222; --ink: #e8eeed; --soft: #a5b1b0; --line: #38413f; --accent: #5cc8c4;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
a { color: var(--accent); }
a:focus-visible, button:focus-visible, summary:focus-visible, [tabindex]:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px;
}
nav, main { padding: 1rem; }
nav { background: var(--panel); border-bottom: 1px solid var(--line); font-size: 0.9rem; }
nav summary { cursor: pointer; font-weight: 600; }
nav p { margin: 1rem 0 0.25rem; font-weight: 600; }
nav ul { margin: 0; padding: 0; list-style: none; }
nav li a { display: block; padding: 0.2rem 0; text-decoration: none; overflow-wrap: anywhere; }
nav li a:hover { text-decoration: underline; }
main { max-width: 56rem; min-width: 0; }
h1 { margin: 0.5rem 0; font-size: 1.75rem; line-height: 1.2; }
h1 small { color: var(--soft); font-size: 1rem; font-weight: 400; }
h2 { margin: 4rem 0 0; font-size: 1.4rem; }
h2 + p { margin-top: 0.25rem; color: var(--soft); }
h3 { margin: 2.5rem 0 0; padding-top: 1.5rem; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3, h4 { font-size: 1rem; }
h4 { margin: 1.5rem 0 0.25rem; }
h3 + p { margin: 0.5rem 0 1rem; }
code, pre, .method { font: 0.875rem/1.5 ui-monospace, monospace; }
h3 code { font-size: 1rem; }
.method { display: inline-block; min-width: 4.5em; color: var(--accent); font-weight: 700; }
nav .call { display: grid; grid-template-columns: 4rem 1fr; align-items: baseline; }
nav .method { font-size: 0.75rem; }
p code, td:last-child code { overflow-wrap: anywhere; }
figure { margin: 0.75rem 0; border: 1px solid var(--line); border-radius: 6px; background: var(--panel); }
figcaption {
  display: flex; justify-content: space-between; align-items: center; min-height: 2.25rem;
  padding: 0 0.75rem; border-bottom: 1px solid var(--line); color: var(--soft); font-size: 0.8rem;
}
figure pre { margin: 0; padding: 0.75rem; overflow-x: auto; }
button {
  min-width: 4.5rem; padding: 0.2rem 0.6rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--paper); color: var(--ink); font: inherit; cursor: pointer;
}
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th { color: var(--soft); font-weight: 600; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 1rem 0.4rem 0; border-bottom: 1px solid var(--line); }
td:first-child { white-space: nowrap; }
td:last-child { min-width: 8rem; padding-right: 0; }
@media (min-width: 64rem) {
  body { display: grid; grid-template-columns: 20rem minmax(0, 1fr); }
  nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; border: 0; border-right: 1px solid var(--line); }
  nav { padding: 1.5rem 1rem; }
  main { padding: 1.5rem 2.5rem 6rem; }
}
"""
SCRIPT = """
const wide = matchMedia("(min-width: 64rem)");
const contents = document.querySelector("nav details");
const fit = () => { contents.open = wide.matches; };
wide.addEventListener("change", fit);
fit();
contents.addEventListener("click", (event) => { if (event.target.closest("a")) fit(); });

const copy = async (pre) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(pre.textContent);
  getSelection().selectAllChildren(pre);
  if (!document.execCommand("copy")) throw new Error("select and copy by hand");
};
for (const figure of document.querySelectorAll("figure")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await copy(figure.querySelector("pre"));
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  figure.querySelector("figcaption").append(button);
}
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Counts down to the next message. Without this script the button works too: the server says how long to wait.
const form = document.querySelector("form[data-seconds]");
if (form && Number(form.dataset.seconds) > 0) {
  const [text, button] = [form.querySelector("p"), form.querySelector("button")];
  const end = performance.now() + form.dataset.seconds * 1000;
  text.removeAttribute("role"); // a screen reader need not hear every second
  button.disabled = true;
  const show = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    if (left > 0) {
      text.textContent = `You can ask for another message in ${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}.`;
      return;
    }
    clearInterval(timer);
    text.setAttribute("role", "status");
    text.textContent = "You can ask for another message now.";
    button.disabled = false;
  };
  const timer = setInterval(show, 250);
  show();
}

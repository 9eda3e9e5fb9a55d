// Light or dark: what the system prefers, until somebody chooses.
const NAME = "seewhy-theme";
type Theme = "system" | "light" | "dark";

class Look {
  theme = $state<Theme>("system");

  open(): void {
    const kept = localStorage.getItem(NAME);
    if (kept === "light" || kept === "dark") this.set(kept);
  }

  set(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") {
      localStorage.removeItem(NAME);
      delete document.documentElement.dataset.theme;
    } else {
      localStorage.setItem(NAME, theme);
      document.documentElement.dataset.theme = theme;
    }
  }
}

export const look = new Look();

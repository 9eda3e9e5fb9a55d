/** @type {import("@sveltejs/vite-plugin-svelte").SvelteConfig} */
export default {
  compilerOptions: {
    runes: true,
    css: "external", // the page's CSP takes no styles but those of the file
    // names of classes by what is in them, not by where the file lies: the same build in any folder
    cssHash: ({ hash, css }) => `s-${hash(css)}`,
  },
};

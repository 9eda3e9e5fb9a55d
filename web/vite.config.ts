import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `vite build` makes the page, `vite build --mode widget` the module for notebooks beside it; names are fixed, so that a build is the same byte for byte.
const shared = { outDir: "../src/seewhy/web/built", sourcemap: false, target: "es2022", assetsInlineLimit: 0, reportCompressedSize: false };

const served = process.env.SEEWHY ?? "http://127.0.0.1:8765";

export default defineConfig(({ mode }) => ({
  base: "./",
  plugins: [svelte()],
  // a widget is built in lib mode, which leaves this name for a bundler that never comes
  define: mode === "widget" ? { "process.env.NODE_ENV": '"production"' } : {},
  // cookies know no ports: whoever has opened the server's own address is known here, too. It answers to its own name alone.
  server: { host: "127.0.0.1", proxy: { "/api": { target: served, changeOrigin: true, headers: { origin: served } } } },
  build:
    mode === "widget"
      ? {
          ...shared,
          emptyOutDir: false,
          minify: true,
          lib: { entry: "src/widget/widget.ts", formats: ["es" as const], fileName: () => "widget.js", cssFileName: "widget" },
        }
      : {
          ...shared,
          emptyOutDir: true,
          cssCodeSplit: false,
          modulePreload: false as const,
          rolldownOptions: { output: { entryFileNames: "app.js", assetFileNames: "app.[ext]", codeSplitting: false } },
        },
}));

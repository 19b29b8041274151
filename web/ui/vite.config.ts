import { defineConfig } from 'vite'
import { svelte } from '@sveltejs/vite-plugin-svelte'

// Three builds: the app, the page of the editor's frame, and the service worker, which share nothing.
export default defineConfig(({ mode }) => {
  const alone: Record<string, [string, string]> = { editor: ['src/editor/editor.ts', 'assets/editor-[hash].js'], worker: ['src/worker/sw.ts', 'assets/sw.js'] }
  const editor = alone[mode]
  return {
    plugins: editor ? [] : [svelte({ compilerOptions: { fragments: 'tree' }, onwarn: (w, show) => { if (!w.code.startsWith('a11y_')) show(w) } })],
    publicDir: editor ? false : 'public',
    build: {
      outDir: 'dist/app',
      emptyOutDir: !editor,
      target: 'es2022',
      modulePreload: false,
      assetsInlineLimit: 0,
      cssCodeSplit: true,
      reportCompressedSize: false,
      rollupOptions: editor
        ? { input: editor[0], output: { format: 'iife', entryFileNames: editor[1] } }
        : { input: 'index.html', output: { entryFileNames: 'assets/app-[hash].js', chunkFileNames: 'assets/[name]-[hash].js', assetFileNames: 'assets/[name]-[hash][extname]' } },
    },
  }
})

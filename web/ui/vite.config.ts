import { defineConfig } from 'vite'
import { svelte } from '@sveltejs/vite-plugin-svelte'

// Two builds: the app, and the page of the editor's frame, which shares nothing with it.
export default defineConfig(({ mode }) => {
  const editor = mode === 'editor'
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
        ? { input: 'src/editor/editor.ts', output: { format: 'iife', entryFileNames: 'assets/editor-[hash].js' } }
        : { input: 'index.html', output: { entryFileNames: 'assets/app-[hash].js', chunkFileNames: 'assets/[name]-[hash].js', assetFileNames: 'assets/[name]-[hash][extname]' } },
    },
  }
})

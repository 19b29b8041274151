// Writes the page of the editor's frame, and leaves of every built file only its
// compressed forms: the binary holds nothing else.
import { readdirSync, readFileSync, writeFileSync, unlinkSync, renameSync, rmSync, statSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { brotliCompressSync, gzipSync, constants } from 'node:zlib'
import { join } from 'node:path'

const out = 'dist/app'
const assets = readdirSync(join(out, 'assets'))
const find = (re) => assets.find((f) => re.test(f))
const script = find(/^editor-.*\.js$/)
writeFileSync(join(out, 'editor.html'), `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Editor</title></head><body><script src="/assets/${script}"></script></body></html>\n`)
// The worker keeps these files; its own text changes with each of them.
const kept = assets.filter((f) => f !== 'sw.js').map((f) => '/assets/' + f).sort()
const version = createHash('sha256').update(readFileSync(join(out, 'index.html'))).update(kept.join()).digest('hex').slice(0, 12)
writeFileSync(join(out, 'assets/sw.js'), `self.BUILD=${JSON.stringify({ version, files: kept })};${readFileSync(join(out, 'assets/sw.js'))}`)
for (const f of assets) renameSync(join(out, 'assets', f), join(out, f))
rmSync(join(out, 'assets'), { recursive: true })
for (const f of readdirSync(out)) {
  const p = join(out, f)
  if (!statSync(p).isFile()) continue
  const b = readFileSync(p)
  writeFileSync(p + '.gz', gzipSync(b, { level: 9 }))
  writeFileSync(p + '.br', brotliCompressSync(b, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: b.length } }))
  unlinkSync(p)
}

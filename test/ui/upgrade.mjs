// A server that is brought up to date: before the real one stands a proxy that gives the client
// as another build, which has other names for all its files and knows none of those before.
import http from 'node:http'

// versions starts it; what it gives is chosen by now, and what it was asked for in vain is in missing.
export async function versions(srv) {
  const from = new URL(srv.url), built = JSON.parse((await (await fetch(srv.url + '/sw.js')).text()).match(/self\.BUILD=(\{.*?\});/)[1])
  const names = built.files.map((f) => f.slice('/assets/'.length)).filter((f) => /-[\w-]{8}\.(js|css)$/.test(f))
  const v = { now: 1, missing: [] }
  const called = (name) => (v.now === 1 ? name : name.replace(/\.(js|css)$/, `.v${v.now}.$1`))
  const server = http.createServer((q, a) => {
    let path = q.url
    const asset = /^\/assets\/([^?]+)/.exec(path)?.[1], name = asset?.replace(/\.v\d+(\.\w+)$/, '$1')
    const text = /^\/($|\?|mail\/|settings\/|shell|editor|sw\.js|assets\/)/.test(path)
    if (asset && names.includes(name)) {
      if (called(name) !== asset) { v.missing.push(asset); a.writeHead(404, { 'Cache-Control': 'no-store' }); a.end(); return }
      path = '/assets/' + name
    }
    const headers = { ...q.headers, ...(text ? { 'accept-encoding': 'identity' } : {}) }
    const up = http.request({ host: from.hostname, port: from.port, path, method: q.method, headers }, (r) => {
      const h = { ...r.headers }
      if (!text) { a.writeHead(r.statusCode, h); r.pipe(a); return }
      const parts = []
      r.on('data', (b) => parts.push(b))
      r.on('end', () => {
        let b = Buffer.concat(parts)
        if (/javascript|html|css/.test(h['content-type'] || '')) {
          let s = b.toString()
          for (const n of names) s = s.replaceAll(n, called(n))
          b = Buffer.from(s.replace(`"version":"${built.version}"`, `"version":"${built.version}-${v.now}"`))
        }
        delete h['content-length']
        // What the browser's own cache happens to hold is of no help.
        a.writeHead(r.statusCode, { ...h, 'cache-control': 'no-store' })
        a.end(b)
      })
      r.on('error', () => a.destroy())
    })
    up.on('error', () => a.destroy())
    a.on('close', () => up.destroy())
    q.pipe(up)
  })
  await new Promise((r) => server.listen(0, from.hostname, r))
  v.url = `${from.protocol}//${from.hostname}:${server.address().port}`
  v.close = () => { server.closeAllConnections(); server.close() }
  return v
}

// loaded says of which builds the scripts and styles are that a window has loaded.
export const loaded = (page) => page.evaluate(() => [...new Set(performance.getEntriesByType('resource').map((e) => new URL(e.name).pathname).filter((p) => /^\/assets\/.*-[\w-]{8}\.(v\d+\.)?(js|css)$/.test(p)).map((p) => +(p.match(/\.v(\d+)\./)?.[1] || 1)))].sort())
// shells are the builds that the worker keeps.
export const shells = (page) => page.evaluate(async () => (await caches.keys()).filter((k) => k.startsWith('shell-')).map((k) => +k.match(/-(\d+)$/)[1]).sort())

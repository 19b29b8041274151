// Runs the scenarios and says of each, as a line of JSON, what became of it.
import { demo, openBrowser, openTrap, Stage } from './harness.mjs'
import { scenarios } from './scenarios.mjs'

const only = process.env.ONLY ? new RegExp(process.env.ONLY) : null
const say = (o) => process.stdout.write(JSON.stringify(o) + '\n')
process.on('unhandledRejection', (e) => process.stderr.write('unhandled: ' + (e?.stack || e) + '\n'))
const trap = await openTrap()
const browser = await openBrowser(trap)
const queue = []
for (const s of scenarios) {
  if (s.pending) { say({ id: s.id, name: s.name, pending: s.pending }); continue }
  for (const variant of ['', ...(s.dark ? ['dark'] : []), ...(s.phone ? ['phone'] : []), ...(s.dark && s.phone && s.both ? ['dark phone'] : [])]) {
    if (!only || only.test(`${s.id} ${variant}`)) queue.push({ s, variant })
  }
}
async function one({ s, variant }) {
  const began = Date.now()
  let srv, stage, error = ''
  try {
    srv = await demo(s.args)
    stage = new Stage(browser, trap, srv, { id: s.id, dark: variant.includes('dark'), phone: variant.includes('phone'), allow: s.allow, ...s.stage })
    await stage.open()
    let limit
    await Promise.race([s.run(stage, srv), new Promise((_, fail) => { limit = setTimeout(() => fail(new Error('not done after 120 s')), 120_000) })]).finally(() => clearTimeout(limit))
    await stage.shot('end')
  } catch (e) {
    error = e.stack || String(e)
    if (stage?.page) await stage.shot('failed')
  }
  try { await stage?.close() } catch (e) { error = (error ? error + '\n' : '') + e.message }
  await (srv?.current || srv)?.stop().catch(() => {})
  say({ id: s.id, name: s.name, variant, ms: Date.now() - began, error })
}
// Both workers share the trap: the sum is looked at in the end.
await Promise.all(Array.from({ length: 2 }, async () => { for (let x; (x = queue.shift()); ) await one(x) }))
if (trap.hits) say({ id: '00', name: 'no connection to any other host', error: `${trap.hits} connections` })
await browser.close()
trap.close()

// Runs the scenarios and says of each, as a line of JSON, what became of it.
import { demo, openBrowser, openTrap, Stage, within } from './harness.mjs'
import { scenarios as usual } from './scenarios.mjs'
import { trouble } from './trouble.mjs'
import { shared } from './shared.mjs'
import { triage } from './triage.mjs'

const only = process.env.ONLY ? new RegExp(process.env.ONLY) : null
const say = (o) => process.stdout.write(JSON.stringify(o) + '\n')
process.on('unhandledRejection', (e) => process.stderr.write('unhandled: ' + (e?.stack || e) + '\n'))
const trap = await openTrap()
const browser = await openBrowser(trap)
const queue = [], scenarios = [...usual, ...trouble, ...shared, ...triage]
for (const s of scenarios) {
  if (s.pending) { say({ id: s.id, name: s.name, pending: s.pending }); continue }
  for (const variant of ['', ...(s.dark ? ['dark'] : []), ...(s.phone ? ['phone'] : []), ...(s.dark && s.phone && s.both ? ['dark phone'] : [])]) {
    if (!only || only.test(`${s.id} ${variant}`)) queue.push({ s, variant })
  }
}
async function one({ s, variant }) {
  const began = Date.now()
  say({ begun: `${s.id} ${s.name} ${variant}` })
  let srv, stage, error = ''
  try {
    const keep = `${process.env.TMPDIR}/kept-${s.id}-${variant}`
    srv = await demo([...(s.args || []), ...(s.keep ? ['--keep', keep] : [])])
    stage = new Stage(browser, trap, srv, { id: s.id, dark: variant.includes('dark'), phone: variant.includes('phone'), allow: s.allow, ...s.stage })
    await stage.open()
    await within(s.run(stage, srv, keep), 120_000, 'the scenario')
    await stage.shot('end')
  } catch (e) {
    error = e.stack || String(e)
    if (stage?.page) await stage.shot('failed')
  }
  try { await stage?.close() } catch (e) { error = (error ? error + '\n' : '') + e.message }
  await (srv?.current || srv)?.stop().catch(() => {})
  say({ id: s.id, name: s.name, variant, ms: Date.now() - began, error })
  if (/the browser hangs/.test(error)) process.exit(1) // nothing after it would tell anything
}
// Both workers share the trap: the sum is looked at in the end.
await Promise.all(Array.from({ length: 2 }, async () => { for (let x; (x = queue.shift()); ) await one(x) }))
if (trap.hits) say({ id: '00', name: 'no connection to any other host', error: `${trap.hits} connections` })
await within(browser.close(), 60_000, 'the browser ends').catch((e) => say({ id: '00', name: 'the browser ends', error: e.message }))
trap.close()
process.exit(0) // whatever a scenario left behind

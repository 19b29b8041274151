// What goes wrong while one writes: each is said in plain words, and nothing typed is lost.
import { assert, equal, eventually, imap, demo, hold } from './harness.mjs'

const offline = [/Failed to load resource/, /net::ERR/], away = [...offline, /EventSource|502|Failed to fetch/]

// found counts what another mail program sees in a mailbox.
async function found(other, box, what) {
  await other.run(`SELECT ${box}`)
  return ((await other.run(`SEARCH ${what}`)).match(/\* SEARCH([ \d]*)/)[1].trim().match(/\d+/g) || []).length
}
async function write(page, subject, text = '') {
  await page.locator('#list').focus()
  const before = await page.locator('.cmp').count()
  await page.keyboard.press('c')
  const cmp = before < 3 ? page.locator('.cmp').nth(before) : page.locator('.cmp').last()
  if (before < 3) await cmp.waitFor()
  else await eventually(async () => (await cmp.locator('input[id^=subject-]').inputValue()) === '', 'the fourth window')
  await cmp.locator('input[id^=to-]').fill('ben@demo.test')
  await cmp.locator('input[id^=subject-]').fill(subject)
  if (text) await type(cmp, text)
  return cmp
}
async function type(cmp, text) {
  const f = await (await cmp.locator('iframe').elementHandle()).contentFrame()
  await f.locator('#ed').click()
  await f.locator('#ed').press('Control+End')
  await f.locator('#ed').pressSequentially(text)
}
const status = (cmp, what) => cmp.locator('header small', { hasText: what }).first().waitFor()
const again = (page, srv, keep, more = []) => demo(['--keep', keep, '--port-base', String(srv.base), ...more]).then((x) => (srv.current = x))

export const trouble = [
  {
    id: '25c', name: 'a window closed without the server, a fourth window, a full device: nothing is lost, and nobody is signed out over it', dark: true, allow: offline,
    async run(s) {
      const p = await s.signIn(), other = await imap(s.srv)
      const cmp = await write(p, 'Closed on the train', 'Every word')
      await s.context.setOffline(true)
      await type(cmp, ' of it.')
      await status(cmp, 'Kept on this device')
      await cmp.getByRole('button', { name: 'Save and close' }).click()
      await p.locator('.toast', { hasText: 'Kept on this device. It goes to Drafts' }).waitFor()
      equal(await p.locator('.cmp').count(), 0, 'it is closed')
      await p.getByRole('button', { name: 'Settings' }).last().click()
      await p.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click()
      const lost = p.locator('.toast', { hasText: '1 change or draft did not reach the server yet and would be lost.' })
      await lost.getByRole('button', { name: 'Sign out all the same' }).waitFor()
      await p.keyboard.press('Escape')
      await s.shot('not signed out')
      await s.axe(p, 'not signed out')
      await s.context.setOffline(false)
      await eventually(async () => (await found(other, 'Drafts', 'SUBJECT "Closed on the train" BODY "Every word of it."')) === 1, 'it is a draft')
      // Three windows fit: what stands in the first is a draft when a fourth comes.
      for (const n of ['first', 'second', 'third', 'fourth']) await write(p, `The ${n} window`)
      equal(await p.locator('.cmp').count(), 3, 'three windows')
      for (const n of ['first', 'second', 'third', 'fourth']) await eventually(async () => (await found(other, 'Drafts', `SUBJECT "The ${n} window"`)) === 1, `the ${n} is a draft, once`)
      for (let n = 2; n >= 0; n--) {
        await p.locator('.cmp').first().getByRole('button', { name: 'Save and close' }).click()
        await eventually(async () => (await p.locator('.cmp').count()) === n, 'closed')
      }
      // The browser gives no more room: what is written goes to the database instead.
      await p.evaluate(() => { for (let n = 1 << 20, i = 0; n >= 1; ) try { localStorage.setItem('fill' + i++, 'x'.repeat(n)) } catch { n >>= 1 } })
      await s.context.setOffline(true)
      // The page of the editor does not come either, and no worker has it here: one writes as plain text.
      const full = await write(p, 'On a full device')
      await full.locator('textarea').fill('It was kept.')
      await status(full, 'Kept on this device')
      await p.close()
      await s.context.setOffline(false)
      const next = (s.page = await s.window())
      await next.goto(s.srv.url + '/')
      await next.locator('.cmp').waitFor()
      await eventually(async () => (await next.locator('.cmp textarea').inputValue()) === 'It was kept.', 'as it was')
      // Nothing at all can be kept: that is said, until the server has it.
      await next.evaluate(() => { indexedDB.open = () => { throw new DOMException('full', 'QuotaExceededError') } })
      await s.context.setOffline(true)
      await next.locator('.cmp textarea').fill('It was kept. Only here.')
      await next.locator('.cmp').getByText('This device has no room to keep it either').waitFor()
      await status(next.locator('.cmp'), 'In this window only')
      await s.shot('no room')
      await s.axe(next, 'no room')
      await next.locator('.cmp').getByRole('button', { name: 'Save and close' }).click()
      await status(next.locator('.cmp'), 'In this window only')
      await s.context.setOffline(false)
      await status(next.locator('.cmp'), /^Saved$/)
      await eventually(async () => (await found(other, 'Drafts', 'SUBJECT "On a full device"')) === 1 && (await found(other, 'Drafts', 'BODY "It was kept. Only here."')) === 1, 'all of it is one draft')
      equal(await next.locator('.cmp .note.bad').count(), 0, 'the warning is gone')
      other.end()
    },
  },
]

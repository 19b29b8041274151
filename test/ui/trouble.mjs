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
      for (const n of ['first', 'second', 'third', 'fourth']) await eventually(async () => { equal(await found(other, 'Drafts', `SUBJECT "The ${n} window"`), 1, 'drafts'); return true }, `the ${n} is a draft, once`)
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
  {
    id: '25d', name: 'the disk of the server is full while one writes, attaches and sends: said in words; with room again all of it goes', dark: true, keep: true, allow: [...away, /50\d/],
    async run(s, srv, keep) {
      const p = await s.signIn()
      const cmp = await write(p, 'Written on a full disk', 'One. ')
      await status(cmp, /^Saved$/)
      const restart = async (more) => { await (srv.current || srv).stop('SIGTERM'); await again(p, srv, keep, more) }
      await restart(['--free-disk', '8000000000000000000'])
      await type(cmp, 'Two. ')
      await cmp.getByText('Not saved: the server has a problem just now, perhaps no room').waitFor()
      await cmp.getByText('What you write is kept on this device meanwhile.').waitFor()
      await status(cmp, 'Kept on this device')
      await s.shot('not saved')
      await s.axe(p, 'not saved')
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await cmp.getByText('Not sent: the server has a problem just now').waitFor()
      await s.shot('not sent')
      await cmp.locator('input[type=file]').setInputFiles({ name: 'plan.txt', mimeType: 'text/plain', buffer: Buffer.from('the plan') })
      await cmp.locator('.file', { hasText: 'plan.txt' }).waitFor()
      // One goes on reading meanwhile.
      await p.locator('.row').nth(1).click()
      await s.body()
      await cmp.locator('.file', { hasText: 'Waits for the server' }).waitFor()
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await cmp.getByText('A file is still on its way.').waitFor()
      await s.shot('a file waits')
      equal(await p.locator('.cmp').count(), 1, 'the window stays')
      await restart([])
      await status(cmp, /^Saved$/)
      await eventually(async () => (await cmp.locator('.file', { hasText: 'plan.txt' }).count()) === 1 && (await cmp.locator('.file progress').count()) === 0, 'the file is there')
      equal(await cmp.locator('.note.bad').count(), 0, 'nothing is said any more')
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await p.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Send now' }).click()
      const ben = await imap(srv, 'ben@demo.test')
      await eventually(async () => (await found(ben, 'INBOX', 'SUBJECT "Written on a full disk" BODY "One. Two."')) === 1, 'all of it arrives, once')
      ben.end()
    },
  },
  {
    id: '25e', name: 'the session ends while a message is on its way and a file comes: one signs in, and both go', dark: true, submission: true, allow: [...offline, /401|403/],
    async run(s, srv) {
      const p = await s.signIn(), dialog = p.getByRole('dialog', { name: 'Sign in again' })
      const cmp = await write(p, 'Sent after the session', 'Every word. ')
      await status(cmp, /^Saved$/)
      await s.context.clearCookies()
      await cmp.locator('input[type=file]').setInputFiles({ name: 'late.txt', mimeType: 'text/plain', buffer: Buffer.from('the late file') })
      await dialog.waitFor()
      await s.shot('expired')
      await s.axe(p, 'expired')
      const login = async () => {
        await dialog.getByLabel('Password').fill('demo')
        await dialog.getByRole('button', { name: 'Sign in' }).click()
        await dialog.waitFor({ state: 'detached' })
      }
      await login()
      await eventually(async () => (await cmp.locator('.file', { hasText: 'late.txt' }).count()) === 1 && (await cmp.locator('.file progress').count()) === 0, 'the file goes by itself')
      await status(cmp, /^Saved$/)
      await s.context.clearCookies()
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await dialog.waitFor()
      await cmp.getByText('Your session ended: sign in, and send it again.').waitFor()
      await login()
      await cmp.getByRole('button', { name: 'Send', exact: true }).click()
      await p.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Send now' }).click()
      const ben = await imap(srv, 'ben@demo.test')
      await eventually(async () => (await found(ben, 'INBOX', 'SUBJECT "Sent after the session" BODY "Every word."')) === 1, 'it arrives, once')
      const text = await ben.run('FETCH * BODY.PEEK[]')
      assert(/late\.txt/.test(text), 'with the file')
      ben.end()
    },
  },
  {
    id: '25f', name: 'the server ends in the middle of a file: it goes on where it was, and is whole', dark: true, keep: true, allow: away,
    async run(s, srv, keep) {
      const p = await s.signIn(), other = await imap(srv)
      const cmp = await write(p, 'Through a restart')
      await status(cmp, /^Saved$/)
      // Slow enough that the server ends while pieces are on their way.
      const net = await s.context.newCDPSession(p), speed = (uploadThroughput) => net.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput })
      await net.send('Network.enable')
      await speed(3e6)
      const data = Buffer.alloc(14e6, 'posthouse ')
      await cmp.locator('input[type=file]').setInputFiles({ name: 'film.bin', mimeType: 'application/octet-stream', buffer: data })
      await eventually(async () => { const n = await cmp.locator('.file progress').evaluate((x) => x.value); return n > 0.3 && n < 0.9 }, 'it is in the middle')
      other.end()
      await srv.stop('SIGKILL')
      const release = await hold(srv.base)
      await cmp.locator('.file', { hasText: 'Waits for the server' }).waitFor()
      await s.shot('waits')
      await s.axe(p, 'a file waits')
      await release()
      await again(p, srv, keep)
      await speed(-1)
      await eventually(async () => (await cmp.locator('.file', { hasText: 'film.bin' }).count()) === 1 && (await cmp.locator('.file progress').count()) === 0, 'it arrived', 60_000)
      await status(cmp, /^Saved$/)
      const got = await p.evaluate(async () => {
        const headers = { 'Content-Type': 'application/json', 'X-Posthouse-Client': '1' }, { primaryAccounts } = await (await fetch('/jmap/session', { headers })).json(), accountId = primaryAccounts['urn:ietf:params:jmap:mail']
        const { methodResponses: r } = await (await fetch('/jmap/api', { method: 'POST', headers, body: JSON.stringify({ using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls: [
          ['Email/query', { accountId, filter: { subject: 'Through a restart' } }, '0'], ['Email/get', { accountId, '#ids': { resultOf: '0', name: 'Email/query', path: '/ids' }, properties: ['attachments'] }, '1']] }) })).json()
        const a = r[1][1].list[0]?.attachments[0]
        if (!a) return null
        const b = new Uint8Array(await (await fetch(`/jmap/download/${accountId}/${a.blobId}/x?type=application/octet-stream`)).arrayBuffer()), w = new TextEncoder().encode('posthouse ')
        return [b.length, b.every((x, i) => x === w[i % 10])]
      })
      equal(got, [14e6, true], 'every byte')
    },
  },
  {
    id: '30c', name: 'one draft in two tabs: discarded or sent in the other, it is said, and what one writes stays', dark: true, submission: true,
    async run(s, srv) {
      const p = await s.signIn(), other = await imap(srv)
      const open = async (page, subject) => {
        await page.bringToFront()
        await page.locator('nav.side a', { hasText: 'Drafts' }).click()
        await s.row(subject, page).click()
        await page.locator('.cmp iframe').waitFor()
        const f = await (await page.locator('.cmp iframe').elementHandle()).contentFrame()
        await f.locator('#ed', { hasText: 'Begun.' }).waitFor()
        return page.locator('.cmp')
      }
      const cmp = await write(p, 'Thrown away there', 'Begun.')
      await status(cmp, /^Saved$/)
      const tab = await s.window()
      await tab.goto(srv.url + '/')
      await tab.locator('.row:not(.sk) .from').first().waitFor()
      const there = await open(tab, 'Thrown away there')
      await there.getByRole('button', { name: 'Discard the draft' }).click()
      await p.bringToFront()
      await cmp.getByText('This draft was discarded in another window.').waitFor()
      await s.shot('discarded')
      await s.axe(p, 'discarded elsewhere')
      await cmp.getByRole('button', { name: 'Keep this one too' }).click()
      await eventually(async () => (await found(other, 'Drafts', 'SUBJECT "Thrown away there" BODY "Begun."')) === 1, 'it is a draft again')
      await status(cmp, /^Saved$/)
      await cmp.getByRole('button', { name: 'Save and close' }).click()
      await eventually(async () => (await p.locator('.cmp').count()) === 0, 'closed')
      // Sent in the other tab, while one writes on here: what one writes becomes a draft of its own.
      const two = await write(p, 'Sent there', 'Begun.')
      await status(two, /^Saved$/)
      const sent = await open(tab, 'Sent there')
      await sent.getByRole('button', { name: 'Send', exact: true }).click()
      await tab.locator('.toast', { hasText: 'Sending' }).getByRole('button', { name: 'Send now' }).click()
      await p.bringToFront()
      await type(two, ' And more.')
      await two.getByText(/This message was sent from another window\.|changed in another window/).waitFor()
      await s.shot('sent elsewhere')
      await s.axe(p, 'sent elsewhere')
      await eventually(async () => (await found(other, 'Drafts', 'BODY "Begun. And more."')) === 1, 'what was written here is kept')
      const ben = await imap(srv, 'ben@demo.test')
      await eventually(async () => (await found(ben, 'INBOX', 'SUBJECT "Sent there"')) === 1, 'sent once')
      other.end(); ben.end()
    },
  },
]

// trap keeps the focus inside of a dialog, and gives it back to where it was.
export function trap(node: HTMLElement) {
  const before = document.activeElement as HTMLElement | null
  const all = () => [...node.querySelectorAll<HTMLElement>('button,a[href],input,select,textarea,[tabindex="0"]')].filter((x) => !x.hasAttribute('disabled') && x.offsetParent !== null)
  const f = (e: KeyboardEvent) => {
    if (e.key !== 'Tab') return
    const list = all(), i = list.indexOf(document.activeElement as HTMLElement)
    if (e.shiftKey ? i <= 0 : i === list.length - 1) { e.preventDefault(); list[e.shiftKey ? list.length - 1 : 0]?.focus() }
  }
  node.addEventListener('keydown', f)
  setTimeout(() => (node.querySelector<HTMLElement>('[data-first]') || all()[0])?.focus())
  return () => {
    node.removeEventListener('keydown', f)
    if (before?.isConnected && before !== document.body) before.focus({ preventScroll: true })
    else document.getElementById('list')?.focus({ preventScroll: true })
  }
}

// What is not needed for the first picture, loaded in one piece when some of it is.
export { default as Away } from './Away.svelte'
export { default as Bounce } from './Bounce.svelte'
export { default as Checks } from './Checks.svelte'
export { default as Headers } from './Headers.svelte'
export { default as Held } from './Held.svelte'
export { default as Invite } from './Invite.svelte'
export { default as Preview } from './Preview.svelte'
export { default as Rules } from './Rules.svelte'

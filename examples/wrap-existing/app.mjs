// An application that knows nothing of a mesh. register.mjs runs it.
const response = await fetch('http://reviews/1');
console.log(response.status, await response.text());

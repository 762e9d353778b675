export function begin() { return {}; }

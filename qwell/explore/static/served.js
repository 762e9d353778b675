// Potentials, levels and networks by the server: Python's own functions answer.

import {ask} from "./wire.js";

export {ask};
export const where = "server";
export const potential = async (question) => (await ask("potential", question)).arrays.potential;
export const networks = async () => (await ask("networks")).head;
export const network = async (name) => (await ask("network", {network: name})).head;
export async function solve(question) {
  const {head, arrays} = await ask("solve", question);
  return {...head, ...arrays};
}

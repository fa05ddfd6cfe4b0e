// Do everything on chain with ethers: open a session, submit a prompt, follow the task's events,
// read what was paid, and take the rest of the deposit back.
//
// Run it from the repository while `make run` is up:
//
//     node examples/ethers_session.mjs
//
// It needs the package `ethers`. RPC_URL names another endpoint of the chain.

import { readFileSync } from "node:fs";
import { ethers } from "ethers";

const { VAR_DIR = "var", RPC_URL = "http://127.0.0.1:8545" } = process.env;
const PROMPT = "What is the capital of Italy?";
const [SHARED_MINERS, DEFAULT_MODEL, USERS_MESSAGE] = [0, 0, 0];
const [MINERS, MAX_TOKENS, TIMEOUT_S] = [1, 64, 60];

const kept = (path) => readFileSync(`${VAR_DIR}/${path}`, "utf8");
const provider = new ethers.JsonRpcProvider(RPC_URL, undefined, { pollingInterval: 200 });
const account = await ethers.Wallet.fromEncryptedJson(kept("keys/client.json"), kept("keys/password").trim());
const signer = new ethers.NonceManager(account.connect(provider));

const { addresses } = JSON.parse(kept("deployment.json"));
const contract = (name) => {
  const file = new URL(`../contracts/abi/${name}.json`, import.meta.url);
  return new ethers.Contract(addresses[name], JSON.parse(readFileSync(file)).abi, signer);
};
const [session, queue] = [contract("Session"), contract("SessionQueue")];
const [token, payment] = [contract("CortensorToken"), contract("SessionPayment")];

const mined = async (sent) => (await sent).wait();
const eventIn = (receipt, of, name) =>
  receipt.logs.map((log) => of.interface.parseLog(log)).find((event) => event?.name === name).args;

const created = await mined(session.create(
  "ethers example", "{}", account.address,
  MINERS, MINERS, MINERS, 1, // fewest and most nodes, miners a task, validators
  SHARED_MINERS, false, 0, DEFAULT_MODEL, 0, 0));
const { sessionId } = eventIn(created, session, "SessionCreated");
const deposit = ethers.parseEther("1"); // $COR has 18 decimals as well
await mined(token.approve(addresses.SessionPayment, deposit));
await mined(payment.depositToSession(sessionId, deposit));
console.log(`session ${sessionId} holds ${ethers.formatEther(deposit)} COR`);

// A list of parameters that is shorter leaves the rest to the model: here all but the limit.
const submitted = await mined(session.submit(
  sessionId, 0, PROMPT, USERS_MESSAGE, "", [MAX_TOKENS], [TIMEOUT_S], "example"));
const { taskId } = eventIn(submitted, session, "TaskSubmitted");
console.log(`> ${PROMPT}`);

// The contract says when the task has ended: its miners are judged and paid then.
const until = Date.now() + 2_000 * TIMEOUT_S;
const hasEnded = async () => (await queue.queryFilter("TaskEnded", submitted.blockNumber))
  .some(({ args }) => args.sessionId === sessionId && args.taskId === taskId);
while (!(await hasEnded())) {
  if (Date.now() > until) throw new Error("the task did not end in time");
  await new Promise((resolve) => setTimeout(resolve, 500));
}

// A prompt that is on chain has its results there too. docs/clients.md reads those at an address.
const [miners, results] = await session.getTaskResults(sessionId, taskId);
miners.forEach((miner, n) => console.log(`${miner}: ${JSON.parse(results[n]).result}`));

const left = await payment.sessionBalance(sessionId);
await mined(payment.withdrawFromSession(sessionId, left));
console.log(`paid ${ethers.formatEther(deposit - left)} COR, took ${ethers.formatEther(left)} COR back`);
provider.destroy();

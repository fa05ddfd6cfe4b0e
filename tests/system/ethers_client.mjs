// A client of the network as its users write them: ethers, and the published interface as text.
// usage: node ethers_client.mjs '{"rpcUrl", "key", "session", "queue", "token", "payment", "reference",
//                                "mode", "redundant", "nodes", "prompt"}'
// It prints one line of JSON: the session's and the task's number, the session as it reads it, the results.
import { readFileSync } from "node:fs";
import { ethers } from "ethers";

const asked = JSON.parse(process.argv[2]);
const provider = new ethers.JsonRpcProvider(asked.rpcUrl, undefined, { pollingInterval: 100 });
const wallet = new ethers.NonceManager(new ethers.Wallet(asked.key, provider));
const published = (name) => readFileSync(`${asked.reference}/${name}.abi.txt`, "utf8").trim().split("\n");
const session = new ethers.Contract(asked.session, published("Session"), wallet);
const queue = new ethers.Contract(asked.queue, published("SessionQueue"), provider);
const token = new ethers.Contract(asked.token, ["function approve(address spender, uint256 amount)"], wallet);
const payment = new ethers.Contract(
  asked.payment, ["function depositToSession(uint256 sessionId, uint256 amount)"], wallet);

const mined = async (transaction) => (await transaction).wait();
const eventOf = (contract, receipt, name) => receipt.logs
  .map((log) => contract.interface.parseLog(log))
  .find((event) => event?.name === name).args;

const created = await mined(session.create(
  "ethers", "{}", await wallet.getAddress(), 1, 3, asked.redundant, 1, asked.mode, false, 0, 1, 0, 0));
const { sessionId } = eventOf(session, created, "SessionCreated");
const deposit = ethers.parseEther("1");
await mined(token.approve(asked.payment, deposit));
await mined(payment.depositToSession(sessionId, deposit));
for (const node of asked.nodes) await mined(session.addDedicatedNode(sessionId, node));

const submitted = await mined(session.submit(
  sessionId, 0, asked.prompt, 1, "", [64, 0, 100, 0, 0, 0], [60], "order-1"));
const { taskId } = eventOf(session, submitted, "TaskSubmitted");
const submittedIn = submitted.blockNumber;

let miners = [], results = [];
const until = Date.now() + 60_000;
while (results.length < asked.redundant || results.includes("")) {
  if (Date.now() > until) throw new Error(`results after a minute: ${JSON.stringify(results)}`);
  await new Promise((resolve) => setTimeout(resolve, 200));
  [miners, results] = await session.getTaskResults(sessionId, taskId);
}
const seen = await session.getSession(sessionId);
const state = await queue.getTask(sessionId, taskId);
const assignments = await session.queryFilter(session.filters.TaskAssigned(), submittedIn);
const assignment = assignments.find(({ args }) => args.sessionId === sessionId && args.taskId === taskId);
console.log(JSON.stringify({
  sessionId: Number(sessionId),
  taskId: Number(taskId),
  owner: seen.owner,
  dedicatedNodes: [...seen.dedicatedNodes],
  assignedMiners: [...state.assignedMiners],
  assignedNodeIds: [...assignment.args.nodeIds],
  miners: [...miners],
  results: [...results],
}));
provider.destroy();

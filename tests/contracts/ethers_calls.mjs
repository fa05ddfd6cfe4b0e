// An ethers client that has an ABI as text and calls what it is asked to, one after another.
// usage: node ethers_calls.mjs '{"rpcUrl", "key", "address", "abi", "calls": [["function", [argument, …]], …]}'
// It prints a line of JSON: of each view its (one) answer, of each transaction its events by their names.
import { readFileSync } from "node:fs";
import { ethers } from "ethers";

const asked = JSON.parse(process.argv[2]);
const provider = new ethers.JsonRpcProvider(asked.rpcUrl, undefined, { pollingInterval: 50 });
const wallet = new ethers.NonceManager(new ethers.Wallet(asked.key, provider));
const abi = readFileSync(asked.abi, "utf8").trim().split("\n");
const contract = new ethers.Contract(asked.address, abi, wallet);

const plain = (type, value) => {
  if (type.baseType === "array") return [...value].map((element) => plain(type.arrayChildren, element));
  return type.baseType === "tuple" ? named(type.components, value) : value;
};
const named = (types, values) =>
  Object.fromEntries(types.map((type, place) => [type.name, plain(type, values[place])]));
const eventsOf = (receipt) => Object.fromEntries(receipt.logs
  .map((log) => contract.interface.parseLog(log))
  .filter((event) => event !== null)
  .map((event) => [event.name, named(event.fragment.inputs, event.args)]));

const answers = [];
for (const [name, given] of asked.calls) {
  const answer = await contract[name](...given);
  const { outputs } = contract.interface.getFunction(name);
  answers.push(outputs.length === 0 ? eventsOf(await answer.wait()) : plain(outputs[0], answer));
}
console.log(JSON.stringify(answers, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
provider.destroy();

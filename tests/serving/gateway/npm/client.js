// Personalizer's own client, unchanged, asks a gateway what standard input says, and prints each answer as a line of JSON.
// {"endpoint", "key", "lanes": calls under way at once, "events": [{"request", "activate": bool, "pays": {arm: reward}}]}
const { PersonalizerClient } = require("@azure/cognitiveservices-personalizer");
const { ApiKeyCredentials } = require("@azure/ms-rest-js");
const work = JSON.parse(require("fs").readFileSync(0, "utf8"));
const key = new ApiKeyCredentials({ inHeader: { "Ocp-Apim-Subscription-Key": work.key } });
const client = new PersonalizerClient(key, work.endpoint);

async function asked({ request, activate, pays }) {
  const { ranking, eventId, rewardActionId } = await client.rank(request);
  if (activate) await client.events.activate(eventId);
  const reward = pays[rewardActionId];
  if (reward !== undefined) await client.events.reward(eventId, { value: reward });
  return { ranking, eventId, rewardActionId };
}

async function lane() {
  while (work.events.length) {
    const told = await asked(work.events.shift()).catch((error) => ({ error: error.body || String(error), status: error.statusCode }));
    console.log(JSON.stringify(told));
  }
}
Promise.all(Array.from({ length: work.lanes }, lane));

// Verifies and signs with the Standard Webhooks library of JavaScript: one JSON document in, one out.
const crypto = require("node:crypto");
const { Webhook } = require("standardwebhooks");

// The library knows shared secrets only; Node's own cryptography verifies ed25519.
function verifyEd25519(publicKey, headers, body) {
  const x = Buffer.from(publicKey.replace(/^whpk_/, ""), "base64").toString("base64url");
  const key = crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  return headers["webhook-signature"].split(" ").some((one) => {
    const [version, signature] = one.split(",");
    return version === "v1a" && crypto.verify(null, content, key, Buffer.from(signature, "base64"));
  });
}

function verify({ secret, headers, body }) {
  if (secret.startsWith("whpk_")) return verifyEd25519(secret, headers, body);
  try {
    new Webhook(secret).verify(body, headers, { jsonParse: false });
    return true;
  } catch (error) {
    if (error.name !== "WebhookVerificationError") throw error;
    return false;
  }
}

function sign({ secret, id, timestamp, body }) {
  return new Webhook(secret).sign(id, new Date(timestamp * 1000), body);
}

const input = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
process.stdout.write(
  JSON.stringify({ verified: input.verify.map(verify), signed: input.sign.map(sign) }),
);

// Writes inputs for the benchmark circuits: node inputs.cjs NODE_MODULES KIND COUNT OUT.json
// KIND is "membership" (COUNT levels) or "signatures" (COUNT signatures). The values are fixed.
const fs = require("fs");
const path = require("path");

const [nodeModules, kind, countText, out] = process.argv.slice(2);
const count = Number(countText);
const { buildEddsa, buildPoseidon } = require(path.resolve(nodeModules, "circomlibjs"));

async function membership() {
    const poseidon = await buildPoseidon();
    const hash = (values) => poseidon.F.toObject(poseidon(values));
    const user = 7n;
    const nonce = 20240229n;
    const leaf = hash([user, nonce]);
    const pathElements = [];
    const pathIndices = [];
    let node = leaf;
    for (let i = 0; i < count; i++) {
        const sibling = hash([1000n + BigInt(i), 1n]);
        pathElements.push(sibling.toString());
        pathIndices.push(i % 2);
        node = i % 2 ? hash([sibling, node]) : hash([node, sibling]);
    }
    return {
        root: node.toString(), user: user.toString(), epoch: "3", leaf: leaf.toString(), nonce: nonce.toString(),
        pathElements, pathIndices,
    };
}

async function signatures() {
    const eddsa = await buildEddsa();
    const field = eddsa.babyJub.F;
    const message = 20240229n;
    const input = { message: message.toString(), keyX: [], keyY: [], s: [], r8x: [], r8y: [] };
    for (let i = 0; i < count; i++) {
        const secret = Buffer.alloc(32, i + 1);
        const key = eddsa.prv2pub(secret);
        const signature = eddsa.signPoseidon(secret, field.e(message));
        input.keyX.push(field.toString(key[0]));
        input.keyY.push(field.toString(key[1]));
        input.s.push(signature.S.toString());
        input.r8x.push(field.toString(signature.R8[0]));
        input.r8y.push(field.toString(signature.R8[1]));
    }
    return input;
}

(kind === "membership" ? membership() : signatures()).then((input) => {
    fs.writeFileSync(out, JSON.stringify(input));
    process.exit(0);
});

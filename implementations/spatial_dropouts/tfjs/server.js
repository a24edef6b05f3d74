// TensorFlow.js layers for dropcheck: one long-lived process that speaks docs/reference/server-protocol.md, version 1.
// node server.js FOLDER BACKEND, where FOLDER has node_modules and BACKEND is cpu or wasm.
'use strict';
const fs = require('fs');
const path = require('path');

// standard output is for frames: whatever the library prints goes to standard error
for (const name of ['log', 'info', 'warn', 'error', 'debug']) {
  console[name] = (...words) => fs.writeSync(2, words.join(' ') + '\n');
}
const [folder, backend] = process.argv.slice(2);
const load = require('module').createRequire(path.join(folder, 'package.json'));
const tf = load('@tensorflow/tfjs');
const version = tf.version.tfjs;
if (backend === 'wasm') load('@tensorflow/tfjs-backend-wasm');
const recurrent = require('./recurrent.js');

class Unsupported extends Error {}

// --- layers: {call(x, training, key)} ---------------------------------------------------------------------------------

const number = (value) => (typeof value === 'string' ? Number(value) : value);

function made({layer, options, rate, seed}) {
  const [what, name, site] = layer.split('.');
  rate = number(rate);
  if (what === 'op') {  // a function: it drops whenever it is called, and its user calls it in training alone
    return {call: (x, training, key) =>
      training ? tf[name](x, rate, options.noiseShape, key === undefined ? undefined : key.join('/')) : x.clone()};
  }
  if (what === 'recurrent') return recurrent.site(tf, name, site, rate, options);
  if (what !== 'layers' || !(name in tf.layers)) throw new Unsupported(`there is no layer ${layer}`);
  const config = {...options, rate};
  if (seed !== null) config.seed = seed;
  const real = tf.layers[name](config);
  return {call: (x, training) => real.apply(x, {training})};
}

const layers = new Map();
let last = 0;

function find(id) {
  if (!layers.has(id)) throw new Unsupported(`there is no layer ${id}`);
  return layers.get(id);
}

// --- answers: [head, arrays of {shape, values}] -------------------------------------------------------------------------

// an empty tensor has a plain array for its values
const flat = (values) => (ArrayBuffer.isView(values) ? values : Float32Array.from(values));
const read = (tensor) => ({shape: tensor.shape, dtype: tensor.dtype, values: flat(tensor.dataSync())});

const answers = {
  hello({protocols}) {
    if (!protocols.includes(1)) throw new Unsupported(`protocols ${protocols}: this server speaks 1`);
    return [{protocol: 1, framework: 'tfjs', version, dtypes: ['float32'], gradients: true, calls: true}, []];
  },
  make(request) {
    layers.set(++last, made(request));
    return [{id: last}, []];
  },
  state() { return [{layers: layers.size, tensors: tf.memory().numTensors}, []]; },
  seed() { throw new Unsupported('TensorFlow.js has no global seed'); },
  forget({ids}) {
    for (const id of ids) {
      const {dispose} = layers.get(id) || {};
      if (dispose) dispose();
      layers.delete(id);
    }
    return [{}, []];
  },
  apply({id, training, key, calls}, [x]) {
    const layer = find(id);
    const values = calls > 1 ? x.values.slice() : x.values;  // the next call must meet what was sent
    const start = process.hrtime.bigint();
    const found = [];  // nothing is returned from tidy: it would look for tensors in every element of an array
    tf.tidy(() => { found.push(read(layer.call(tf.tensor(values, x.shape), training, key))); });
    return [{ns: Number(process.hrtime.bigint() - start)}, found];
  },
  gradient({id, key}, [x, cotangent]) {
    const layer = find(id);
    const start = process.hrtime.bigint();
    const found = [];
    tf.tidy(() => {
      let y;
      const pull = tf.grad((given) => { y = tf.keep(layer.call(given, true, key)); return y; });
      const gradient = pull(tf.tensor(x.values, x.shape), tf.tensor(cotangent.values, cotangent.shape));
      found.push(read(y), read(gradient));
      y.dispose();
    });
    return [{ns: Number(process.hrtime.bigint() - start)}, found];
  },
};

// --- frames -----------------------------------------------------------------------------------------------------------

function wait() { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1); }

const ahead = Buffer.alloc(1 << 16);  // read, and not asked for yet: short frames cost one turn
let [from, to] = [0, 0];

function readInto(data, at) {
  for (;;) {
    try {
      const got = fs.readSync(0, data, at, data.length - at);
      if (got === 0) process.exit(0);  // whoever asked is gone
      return got;
    } catch (error) {
      if (error.code !== 'EAGAIN') process.exit(0);
      wait();
    }
  }
}

function take(count) {
  const data = Buffer.from(new ArrayBuffer(count));  // memory of its own, which typed arrays can view
  for (let at = 0; at < count;) {
    if (from < to) {
      const some = ahead.copy(data, at, from, Math.min(to, from + count - at));
      at += some;
      from += some;
    } else if (count - at >= ahead.length) {
      at += readInto(data, at);
    } else {
      [from, to] = [0, readInto(ahead, 0)];
    }
  }
  return data;
}

function send(data) {
  for (let at = 0; at < data.length;) {
    try {
      at += fs.writeSync(1, data, at);
    } catch (error) {
      if (error.code !== 'EAGAIN') process.exit(0);
      wait();
    }
  }
}

function sendFrame(head, arrays) {
  head.arrays = arrays.map(({shape, dtype}) => ({shape, dtype}));
  head.bytes = arrays.reduce((sum, {values}) => sum + values.byteLength, 0);
  const text = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const parts = [length, text, ...arrays.map(({values}) => Buffer.from(values.buffer, values.byteOffset, values.byteLength))];
  if (head.bytes < ahead.length) send(Buffer.concat(parts));
  else parts.forEach(send);
}

function taken({shape}) {
  const data = take(4 * shape.reduce((a, b) => a * b, 1));
  return {shape, values: new Float32Array(data.buffer)};
}

function answer(request, arrays) {
  if (!(request.ask in answers)) return [{error: {type: 'Unsupported', message: `no request ${request.ask}`}}, []];
  try {
    return answers[request.ask](request, arrays);
  } catch (error) {
    return [{error: {type: error.constructor.name, message: error.message}}, []];
  }
}

(async () => {
  await tf.setBackend(backend);
  await tf.ready();
  for (;;) {
    const request = JSON.parse(take(take(4).readUInt32LE()).toString());
    const arrays = (request.arrays || []).map(taken);
    for (let call = 0; call < (request.calls || 1); ++call) {
      const [head, found] = answer(request, arrays);
      sendFrame(head, found);
      if ('error' in head) break;
      if (request.key) ++request.key[1];  // each call has a number of its own
    }
  }
})();

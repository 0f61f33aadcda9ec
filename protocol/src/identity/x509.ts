/** @peculiar/x509 made ready once: it wants decorator metadata before it loads, and a crypto provider. Import it from here. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

export { x509 };

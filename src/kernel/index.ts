export * from "./nft.ts";
export * from "./nft-error.ts";

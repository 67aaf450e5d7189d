import type { TokenUsage } from "../link/answers.ts";

/** Tokens as a person counts them: cached ones are a part of what was read, reasoning one of what was written. */
export interface TokenParts {
  cached: number;
  anew: number;
  written: number;
}

export function partsOf(usage: TokenUsage | undefined): TokenParts {
  const { input = 0, cached = 0, output = 0 } = usage ?? {};
  return { cached: Math.min(cached, input), anew: Math.max(0, input - cached), written: output };
}

export function sumOf(usage: TokenUsage | undefined): number {
  return (usage?.input ?? 0) + (usage?.output ?? 0);
}

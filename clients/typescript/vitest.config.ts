import { defineConfig } from "vitest/config";

export default defineConfig({
  // Tests against a server start one, on machines that do other things too.
  test: { include: ["test/**/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
});

// The examples in configs/ are files that `rookery train --config` takes.
#include <gtest/gtest.h>

#include <filesystem>

#include "train/config.h"

namespace rk {
namespace {

TEST(ConfigExamples, AreAccepted) {
  int n_examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ROOKERY_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".toml") continue;
    ++n_examples;
    RunConfig config = parse_config({"--config", entry.path().string(), "--data_file", "tokens"});
    EXPECT_NO_THROW(validate(config, 1)) << entry.path();
    EXPECT_GT(config.origins.size(), 5u) << entry.path();
  }
  EXPECT_GT(n_examples, 3);
}

}  // namespace
}  // namespace rk

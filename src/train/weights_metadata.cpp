#include "train/weights_metadata.h"

namespace rk {
namespace {

constexpr const char* facts[] = {"tokenizer", "template"};

std::string tokenizer_of(const RunConfig& c) {
  if (c.data_type == "utf-8" || c.data_type == "utf-16le" || c.data_type == "dummy") return "char:" + c.proj_dir + "/vocab.json";
  if (!c.tokenizer.empty()) return c.tokenizer;
  const bool text = c.data_type == "jsonl" || c.data_type == "sft" || c.data_type == "sharegpt" || c.data_type == "alpaca";
  return text ? "world" : "";
}

std::string template_of(const RunConfig& c) {
  if (!c.template_name.empty()) return c.template_name;
  if (c.data_type == "sft") return "sft";
  return c.data_type == "sharegpt" || c.data_type == "alpaca" ? "rwkv" : "";
}

}  // namespace

void keep_text_facts(CheckpointState& state, const RunConfig& config) {
  const std::string values[] = {tokenizer_of(config), template_of(config)};
  for (size_t i = 0; i < std::size(facts); ++i)
    if (!values[i].empty()) state.extra[facts[i]] = values[i];
}

std::map<std::string, std::string> weights_metadata(const CheckpointState& state) {
  std::map<std::string, std::string> metadata;
  for (const char* fact : facts)
    if (const auto found = state.extra.find(fact); found != state.extra.end()) metadata.insert(*found);
  return metadata;
}

}  // namespace rk

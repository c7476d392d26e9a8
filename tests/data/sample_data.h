// Token files and rows for tests of samples.
#pragma once
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/binidx_writer.h"
#include "data/open_data.h"
#include "data/samples/token_data.h"
#include "support/temporary_folder.h"

namespace rk::testing_support {

using Documents = std::vector<std::vector<int32_t>>;

inline void write_documents(const std::string& prefix, const Documents& documents) {
  BinidxWriter writer({.prefix = prefix, .dtype = DType::i32});
  for (const auto& tokens : documents) {
    writer.append(tokens);
    writer.end_sequence();
    writer.end_document();
  }
  writer.finish();
  writer.commit();
}

// Documents whose tokens count on from 1: a token's value tells its place.
inline Documents counting(const std::vector<int64_t>& sizes) {
  Documents documents;
  int32_t next = 1;
  for (int64_t size : sizes) {
    documents.emplace_back(static_cast<size_t>(size));
    for (int32_t& token : documents.back()) token = next++;
  }
  return documents;
}

inline void write_text(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

struct Row {
  explicit Row(int64_t ctx_len, bool with_resets = true)
      : tokens(static_cast<size_t>(ctx_len), -7),
        targets(tokens.size(), -7),
        weights(tokens.size(), -7),
        resets(with_resets ? tokens.size() : 0, 7) {}
  SampleRow row() { return {.tokens = tokens, .targets = targets, .weights = weights, .resets = resets}; }
  Row& draw(const BatchSource& source, int64_t number) {
    offset = source.sample(number, row());
    return *this;
  }
  bool operator==(const Row&) const = default;

  int64_t offset = 0;
  std::vector<int32_t> tokens, targets;
  std::vector<float> weights;
  std::vector<uint8_t> resets;
};

// What is said when `action` is refused, "" when it is not.
template <class Action>
std::string refusal_of(Action&& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.code() == ExitCode::bad_input ? e.what() : cat("not the user's: ", e.what());
  }
  return {};
}

}  // namespace rk::testing_support

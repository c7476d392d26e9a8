// What rookery data tokenize, make_data and preprocess_data have in common.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "data/tokenize.h"

namespace CLI {
class App;
}

namespace rk {

struct TokenizeOptions {
  TokenizeArgs args;                  // but tokenizer, request, progress, say
  std::string tokenizer = "world";    // as make_tokenizer() takes it, or "char", which makes a vocabulary
  std::string vocab, special_tokens;  // files
  std::string on_error = "stop";
  int64_t ctx_len = 1024;  // training flags are suggested for it
  TokenizeOptions();
};

void add_common_options(CLI::App& app, TokenizeOptions& o);  // --threads, --on_error
void text_to_tokens(TokenizeOptions o);

}  // namespace rk

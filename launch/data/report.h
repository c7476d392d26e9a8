// What the subcommands of rookery data say alike.
#pragma once
#include <cstdint>
#include <string>

namespace rk {

std::string bytes_text(double n);                           // "12.3 MiB"
std::string prime_text(int64_t n_tokens, int64_t ctx_len);  // options of rookery train
void check_ctx_len(int64_t ctx_len);                        // refuses less than 1
std::string without_ending(std::string path);               // PREFIX of PREFIX.bin and PREFIX.idx

}  // namespace rk

// The index of a binidx pair whose tokens stay what they are.
#include "data/binidx.h"

#include <array>

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string bin = rk::fuzz::file_of("x.bin", std::string(26, '\1'));
  rk::fuzz::file_of("x.idx", rk::fuzz::text_of(data, size));
  rk::fuzz::accept_or_refuse([&] {
    const rk::Binidx binidx(bin.substr(0, bin.size() - 4));
    std::array<int32_t, 4> tokens;
    for (int64_t i = 0; i < binidx.n_sequences() && i < 1000; ++i) {
      binidx.byte_pointer(i);
      if (binidx.has_modes()) binidx.mode_of_sequence(i);
      const int64_t n = std::min<int64_t>(binidx.size_of_sequence(i), tokens.size());
      if (n > 0) rk::fuzz::accept_or_refuse([&] { binidx.read(i, 0, {tokens.data(), static_cast<size_t>(n)}, 300); });
    }
    for (int64_t d = 0; d <= binidx.n_documents() && d < 1000; ++d) binidx.document_begin(d);
    const int64_t n = std::min<int64_t>(binidx.n_tokens(), tokens.size());
    rk::fuzz::accept_or_refuse([&] { binidx.read_flat(binidx.n_tokens() - n, {tokens.data(), static_cast<size_t>(n)}, 0); });
    binidx.largest_token();
  });
  return 0;
}

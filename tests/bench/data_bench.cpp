// How fast one thread makes samples of a token file whose pages are cached, and how fast large data is opened.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <filesystem>

#include "base/rng.h"
#include "data/binidx_writer.h"
#include "data/open_data.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

// A file of 64 M tokens in documents of 20 to 1000 tokens, some of which open turns.
const std::string& token_file() {
  static const testing_support::TemporaryFolder folder;
  static const std::string prefix = [] {
    const std::string path = folder.path("data");
    BinidxWriter writer({.prefix = path, .dtype = DType::u16});
    const Random random(1, 2);
    std::vector<int32_t> document;
    uint64_t draw = 0;
    while (writer.n_tokens() < 64'000'000) {
      document.resize(20 + static_cast<size_t>(random.uniform(draw++) * 980));
      for (int32_t& token : document) token = static_cast<int32_t>(1 + (draw++ * 2654435761u >> 8) % 65000);
      for (size_t i = 0; i + 40 < document.size(); i += 80) {
        document[i] = 24281, document[i + 1] = 59;
        document[i + 30] = 5585, document[i + 31] = 41693, document[i + 32] = 59;
      }
      document.back() = 0;
      writer.append(document);
      writer.end_sequence();
      writer.end_document();
    }
    writer.finish();
    writer.commit();
    return path;
  }();
  return prefix;
}

void draw_samples(benchmark::State& state, DataOptions options) {
  options.data_file = token_file();
  options.ctx_len = state.range(0);
  const auto data = open_data(options, "");
  const auto source = data->train_source(65536);
  const size_t T = static_cast<size_t>(options.ctx_len);
  std::vector<int32_t> tokens(T), targets(T);
  std::vector<float> weights(T);
  std::vector<uint8_t> resets(T);
  int64_t number = 1;
  for (auto _ : state) {
    source->sample(number++, {.tokens = tokens, .targets = targets, .weights = weights, .resets = resets});
    benchmark::DoNotOptimize(tokens.data());
  }
  state.SetItemsProcessed(state.iterations() * options.ctx_len);
}

#define SAMPLES(name, ...) BENCHMARK_CAPTURE(draw_samples, name, DataOptions __VA_ARGS__)->Arg(512)->Arg(4096)
SAMPLES(get, {});
SAMPLES(get_shuffled, {.order = "shuffle"});
SAMPLES(get_doc_reset, {.doc_reset = 1});
SAMPLES(get_qa, {.loss_mask = "qa"});
SAMPLES(pad, {.dataload = "pad"});
SAMPLES(only_qa, {.dataload = "only", .loss_mask = "qa"});
SAMPLES(pack, {.dataload = "pack"});
SAMPLES(pack_qa, {.dataload = "pack", .loss_mask = "qa"});
SAMPLES(pack_se, {.dataload = "pack", .loss_mask = "se"});
#undef SAMPLES

// 100 million documents of 300 tokens: the .bin is a hole, the index is written.
const std::string& large_file() {
  static const testing_support::TemporaryFolder folder;
  static const std::string prefix = [] {
    const std::string path = folder.path("large");
    constexpr int64_t n = 100'000'000, size = 300;
    StagedFile idx(path + ".idx");
    std::byte header[binidx::sizes_at]{};
    const uint64_t counts[2] = {n, n + 1}, version = binidx::version;
    const uint8_t code = binidx::code_of_dtype(DType::u16);
    std::copy_n(reinterpret_cast<const std::byte*>(binidx::magic), 9, header);
    std::copy_n(reinterpret_cast<const std::byte*>(&version), 8, header + 9);
    std::copy_n(reinterpret_cast<const std::byte*>(&code), 1, header + 17);
    std::copy_n(reinterpret_cast<const std::byte*>(counts), 16, header + 18);
    idx.write(header, sizeof header);
    const int32_t tokens = size;
    for (int64_t i = 0; i < n; ++i) idx.write(&tokens, sizeof tokens);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t pointer = i * size * 2;
      idx.write(&pointer, sizeof pointer);
    }
    for (int64_t i = 0; i <= n; ++i) idx.write(&i, sizeof i);
    idx.finish();
    idx.commit();
    StagedFile bin(path + ".bin");
    bin.finish();
    bin.commit();
    std::filesystem::resize_file(path + ".bin", n * size * 2);
    return path;
  }();
  return prefix;
}

void open_large(benchmark::State& state, const char* dataload) {
  const std::string& prefix = large_file();
  for (auto _ : state) {
    const auto data = open_data({.data_file = prefix, .ctx_len = 4096, .dataload = dataload}, "");
    benchmark::DoNotOptimize(data->train_source(65536)->n_samples_per_pass());
  }
}
BENCHMARK_CAPTURE(open_large, get, "get")->Iterations(2)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(open_large, pack, "pack")->Iterations(2)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rk

BENCHMARK_MAIN();

// Bytes a second of the tokenizers and the .jsonl parser, one thread: tokenizer_bench TEXT_FILE [--benchmark_...]
// For tokenizer_peers.py: tokenizer_bench TEXT_FILE --once=TOKENIZER --way=whole|documents --ids=FILE prints the seconds of processor time that
// one call for all of the text, or one for each line, takes, and writes the ids as int32.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string_view>

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/json_text.h"
#include "data/tokenizer.h"

namespace rk {
namespace {

void encode(benchmark::State& state, const Tokenizer* tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  for (auto _ : state) {
    ids.clear();
    tokenizer->encode(text, ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["bytes/id"] = static_cast<double>(text.size()) / static_cast<double>(ids.size());
}

void decode(benchmark::State& state, const Tokenizer* tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer->encode(text, ids);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

std::string quoted(std::string_view text) {
  std::string line = "{\"meta\": [1, 2.5, {\"source\": \"bench\"}], \"text\": \"";
  for (char c : text) {
    if (c == '"' || c == '\\') line.push_back('\\');
    if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      line.push_back(c);
    }
  }
  return line + "\"}";
}

void parse(benchmark::State& state, const std::string& line) {
  std::string unescaped;
  for (auto _ : state) benchmark::DoNotOptimize(json_text(line, "text", unescaped));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * line.size()));
}

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Peers allocate their result, too; theirs and ours are used once before, so that caches are as warm as in a long run.
void encode_once(std::string_view text, const std::string& name, bool by_lines, const std::string& ids_file) {
  const auto tokenizer = make_tokenizer(name);
  std::vector<int32_t> ids;
  double seconds = 1e9;
  for (int turn = 0; turn < 3; ++turn) {
    std::vector<int32_t> fresh;
    const double began = processor_seconds();
    if (!by_lines) tokenizer->encode(text, fresh);
    for (size_t at = 0; by_lines && at <= text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      tokenizer->encode(text.substr(at, end - at), fresh);
      at = end + 1;
    }
    seconds = std::min(seconds, processor_seconds() - began);
    ids = std::move(fresh);
  }
  std::ofstream(ids_file, std::ios::binary).write(reinterpret_cast<const char*>(ids.data()), static_cast<std::streamsize>(4 * ids.size()));
  std::printf("%.9f\n", seconds);
}

int run(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[2]).starts_with("--once=")) {
    const MappedFile file(argv[1]);
    const auto value = [&](int i) { return std::string(argv[i]).substr(std::string_view(argv[i]).find('=') + 1); };
    encode_once({reinterpret_cast<const char*>(file.bytes().data()), file.size()}, value(2), value(3) == "documents", value(4));
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (argc != 2) fail("usage: tokenizer_bench TEXT_FILE [--benchmark_...]");
  const MappedFile file(argv[1]);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  const auto world = make_world_tokenizer();
  const auto neox = make_bpe_tokenizer();
  const std::string line = quoted(text);
  benchmark::RegisterBenchmark("world encode", encode, world.get(), text);
  benchmark::RegisterBenchmark("world decode", decode, world.get(), text);
  benchmark::RegisterBenchmark("neox encode", encode, neox.get(), text);
  benchmark::RegisterBenchmark("neox decode", decode, neox.get(), text);
  benchmark::RegisterBenchmark("jsonl parse", parse, line);
  benchmark::RegisterBenchmark("world start", [](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(make_world_tokenizer());
  })->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("neox start", [](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(make_bpe_tokenizer());
  })->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  try {
    return rk::run(argc, argv);
  } catch (const rk::Error& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(e.code());
  }
}

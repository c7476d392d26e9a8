// rookery inspect PATH: what a file of tensors or a checkpoint holds.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "io/tensor_file.h"
#include "io/utf8.h"
#include "launch/subcommands.h"
#include "launch/words.h"
#include "model/families.h"
#include "train/checkpoint.h"
#include "train/checkpoint_tensors.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

struct InspectOptions {
  std::string path;
  bool tensors = false;
};

void say(const std::string& line) { std::printf("%s\n", line.c_str()); }

// "12,345,678"
std::string grouped(int64_t n) {
  std::string text = std::to_string(n);
  for (auto i = static_cast<std::ptrdiff_t>(text.size()) - 3; i > 0; i -= 3) text.insert(static_cast<size_t>(i), ",");
  return text;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (int64_t s : shape) text += cat(text.size() > 1 ? ", " : "", s);
  return text + "]";
}

std::string old_parts_text(const OldParts& o) {
  std::string text;
  if (o.head_qk > 0) text += cat(", head_qk ", o.head_qk);
  if (o.tiny_att_dim > 0) text += cat(", tiny_att ", o.tiny_att_dim, " in block ", o.tiny_att_layer);
  if (o.pos_emb > 0) text += cat(", positions of ", o.pos_emb * o.pos_emb - 1, " tokens");
  if (o.pre_ffn) text += ", pre_ffn";
  if (o.ctx_len > 0) text += cat(", masks of ", o.ctx_len, " tokens");
  return text;
}

std::string sizes_text(const ModelSpec& s) {
  std::string text = cat(s.n_layer, " layers, ", s.n_embd, " channels, ", s.head_size > 0 ? "heads of " : "attention of ",
                         s.head_size > 0 ? s.head_size : s.dim_att, ", ffn ", s.dim_ffn, ", vocabulary ", s.vocab_size);
  const std::pair<const char*, int64_t> widths[] = {
      {"w", s.decay_lora}, {"a", s.aaa_lora}, {"v", s.mv_lora}, {"g", s.gate_lora}, {"mix", s.mix_lora}};
  const char* before = ", low-rank widths ";
  for (const auto& [name, width] : widths) {
    if (width == 0) continue;
    text += cat(before, name, " ", width);
    before = ", ";
  }
  return text + old_parts_text(s.old);
}

// Family and sizes, or that the file is none of those known.
std::string model_line(const TensorReader& file, const std::string& path) {
  std::vector<TensorInfo> plain = file.tensors();
  for (TensorInfo& t : plain) t.name = plain_name(t.name);
  for (const Family& f : families()) {
    if (!f.matches(plain)) continue;
    const ModelSpec s = f.spec_from_file({}, plain, path);
    return cat(f.description, " (", s.arch, "): ", sizes_text(s));
  }
  return "of no family that this program knows";
}

void print_types(const TensorReader& file) {
  struct Sum {
    int64_t tensors = 0, numel = 0;
  };
  std::map<DType, Sum> types;
  Sum all;
  for (const TensorInfo& t : file.tensors())
    for (Sum* s : {&types[t.dtype], &all}) {
      ++s->tensors;
      s->numel += t.numel();
    }
  say(cat("tensors     ", grouped(all.tensors)));
  say(cat("parameters  ", grouped(all.numel)));
  for (const auto& [dtype, s] : types)
    say(cat("  ", name_of(dtype), "  ", grouped(s.tensors), " tensors, ", grouped(s.numel), " numbers, ",
            grouped(s.numel * static_cast<int64_t>(size_of(dtype))), " bytes"));
}

void print_tensors(const TensorReader& file) {
  for (const TensorInfo& t : file.tensors()) say(cat("  ", printable(t.name), "  ", name_of(t.dtype), "  ", text_of(t.shape)));
}

void print_lines(const std::string& head, const std::string& text) {
  say(head);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) say("  " + printable(line, std::string::npos));
}

void print_metadata(const TensorReader& file) {
  for (const auto& [key, value] : file.metadata()) {
    if (value.find('\n') != std::string::npos) {
      print_lines(cat("metadata    ", printable(key), ":"), value);
    } else {
      say(cat("metadata    ", printable(key), " = ", printable(value)));
    }
  }
}

std::string for_a_shell(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-_./:=,+@%").find(c) != std::string_view::npos;
  });
  if (plain) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// The options that were given, from lines `name = value  # origin`.
std::string continuing_command(const std::string& config, const std::string& folder) {
  std::string command = "rookery train";
  std::istringstream lines(config);
  for (std::string line; std::getline(lines, line);) {
    const size_t equals = line.find(" = "), origin = line.rfind("  # ");
    if (equals == std::string::npos || origin == std::string::npos || origin < equals || line.substr(origin + 4) == "default") continue;
    const std::string name = line.substr(0, equals);
    std::string value = line.substr(equals + 3, origin - equals - 3);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (name == "resume" || name == "train_stage" || name == "load_model") continue;
    command += cat(" --", name, " ", for_a_shell(value));
  }
  return cat(command, " --resume ", for_a_shell(folder));
}

void inspect_checkpoint(const InspectOptions& o) {
  const std::string folder = find_checkpoint(o.path);
  const CheckpointReader reader(folder);
  const CheckpointState& s = reader.state();
  say(cat("checkpoint  ", folder));
  say(cat("position    ", grouped(s.step), " steps (", grouped(s.adam_t), " updates), ", grouped(s.tokens), " tokens, ", grouped(s.samples),
          " samples"));
  const auto weights = open_checkpoint(folder, CheckpointParts::weights);
  say(cat("model       ", model_line(*weights, folder)));
  print_types(*weights);
  std::string parts;
  for (const auto& [part, dtype] : reader.parts()) parts += cat(parts.empty() ? "" : ", ", part, " ", name_of(dtype));
  say(cat("state       ", parts));
  for (const auto& [name, n_bytes] : reader.files()) say(cat("file        ", name, ", ", grouped(n_bytes), " bytes"));
  if (o.tensors) print_tensors(*weights);
  print_lines("configuration", s.config);
  print_lines("continue with", continuing_command(s.config, folder));
}

void inspect_file(const InspectOptions& o) {
  const auto file = open_tensor_file(o.path);
  say(cat("file        ", o.path, ", ", grouped(static_cast<int64_t>(fs::file_size(o.path))), " bytes"));
  say(cat("format      ", file->format()));
  say(cat("model       ", model_line(*file, o.path)));
  print_types(*file);
  if (o.tensors) print_tensors(*file);
  print_metadata(*file);
}

}  // namespace

int inspect_main(int argc, char** argv) {
  InspectOptions o;
  CLI::App app{"What a file of weights or a checkpoint holds", "rookery inspect"};
  app.add_option("path", o.path, "a checkpoint folder, a run's folder (its newest checkpoint), .pth, .safetensors or .h5")->required();
  app.add_flag("--tensors", o.tensors, "list all tensors");
  if (!parse_words(app, argc, argv)) return static_cast<int>(ExitCode::done);
  if (fs::is_directory(o.path)) {
    inspect_checkpoint(o);
  } else {
    inspect_file(o);
  }
  return static_cast<int>(ExitCode::done);
}

}  // namespace rk

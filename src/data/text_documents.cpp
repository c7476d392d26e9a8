#include "data/text_documents.h"

#include "base/error.h"
#include "data/json_text.h"
#include "data/text_error.h"

namespace rk {
namespace {

constexpr size_t n_named = 5;

void reset(EncodedBlock& block) {
  block.ids.clear();
  block.document_sizes.clear();
  block.n_lines = block.n_empty = block.n_problems = 0;
  block.has_mark = false;
  block.problems.clear();
}

void note(EncodedBlock& block, EncodedBlock::Problem problem) {
  if (++block.n_problems <= static_cast<int64_t>(n_named)) block.problems.push_back(std::move(problem));
}

// Calls text(line's text) for every document of a block of lines.
template <class Text>
void read_lines(const TokenizeArgs& args, EncodedBlock& block, Text&& text) {
  std::string_view bytes = block.block.bytes;
  block.has_mark = block.block.first && bytes.starts_with("\xEF\xBB\xBF");
  const size_t skipped = block.has_mark ? 3 : 0;
  std::string unescaped;
  block.n_lines = for_each_line(bytes.substr(skipped), [&](std::string_view line, size_t offset, int64_t number) {
    if (block.n_problems > 0 && !args.skip_errors) return;
    const std::string_view object = strip_white_space(line);
    if (object.empty()) return;
    const size_t indent = static_cast<size_t>(object.data() - line.data());
    try {
      const std::string_view document =
          args.paragraphs ? json_text_or_paragraphs(object, args.text_key, unescaped) : json_text(object, args.text_key, unescaped);
      if (document.empty()) ++block.n_empty;
      if (document.empty() && args.drop_empty) return;
      try {
        text(document);
      } catch (const TextError& e) {
        throw TextError(cat(e.what(), " (byte ", e.offset(), " of the text)"), size_t{0});
      }
    } catch (const TextError& e) {
      note(block, {number, indent + e.offset(), skipped + offset, e.what()});
    }
  });
}

template <class Text>
void read_part(EncodedBlock& block, Text&& text) {
  try {
    text(std::string_view(block.block.bytes));
  } catch (const TextError& e) {
    note(block, {0, 0, e.offset(), e.what()});
  }
}

}  // namespace

void encode_block(const TokenizeArgs& args, TextKind kind, EncodedBlock& block) {
  reset(block);
  const Tokenizer& tokenizer = *args.tokenizer;
  if (kind == TextKind::document) return read_part(block, [&](std::string_view text) { tokenizer.encode(text, block.ids); });
  read_lines(args, block, [&](std::string_view text) {
    const size_t begin = block.ids.size();
    try {
      tokenizer.encode(text, block.ids);
    } catch (const TextError&) {
      block.ids.resize(begin);
      throw;
    }
    if (args.end_documents) block.ids.push_back(tokenizer.end_of_document());
    block.document_sizes.push_back(static_cast<int64_t>(block.ids.size() - begin));
  });
}

void collect_block(const TokenizeArgs& args, TextKind kind, EncodedBlock& block) {
  reset(block);
  block.characters = std::make_unique<CharacterSet>();
  const auto add = [&](std::string_view text) { block.characters->add(text); };
  if (kind == TextKind::document) {
    read_part(block, add);
  } else {
    read_lines(args, block, add);
  }
}

std::string name_of(const TextFile& file) { return file.path == "-" ? "standard input" : file.path; }

std::string describe_problem(const EncodedBlock& block, const EncodedBlock::Problem& problem, const TextFile& file, int64_t lines_before) {
  if (file.kind == TextKind::lines)
    return cat(name_of(file), ":", lines_before + problem.line + 1, ":", problem.column + 1, ": ", problem.reason);
  return cat(name_of(file), ": byte ", block.block.offset + static_cast<int64_t>(problem.offset), ": ", problem.reason);
}

}  // namespace rk

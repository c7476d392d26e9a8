#include "data/json_text.h"

#include <utility>

#include "data/json_reader.h"
#include "data/text_error.h"

namespace rk {

namespace {

// From the beginning of an object to the value of `key`.
void seek_value(JsonReader& reader, std::string_view key) {
  if (reader.next() != '{') reader.refuse("the line is not a JSON object");
  size_t place = 0;
  reader.object({&key, 1}, {&place, 1});
  reader.end();
  if (place == JsonReader::absent) throw TextError(cat("the object has no key \"", key, '"'), 0);
  reader.seek(place);
}

std::string_view paragraphs(JsonReader& reader, std::string& joined) {
  std::string unescaped;
  bool first = true;
  joined.clear();
  reader.array([&] {
    if (reader.next() != '"') reader.refuse("a paragraph is not a string");
    if (!std::exchange(first, false)) joined += "\n\n";
    joined += reader.string(unescaped);
  });
  return joined;
}

}  // namespace

std::string_view json_text(std::string_view line, std::string_view key, std::string& unescaped) {
  JsonReader reader(line);
  seek_value(reader, key);
  if (reader.next() != '"') reader.refuse(cat("the value of \"", key, "\" is not a string"));
  return reader.string(unescaped);
}

std::string_view json_text_or_paragraphs(std::string_view line, std::string_view key, std::string& unescaped) {
  JsonReader reader(line);
  if (reader.next() == '"') {
    const std::string_view text = reader.string(unescaped);
    reader.end();
    return text;
  }
  seek_value(reader, key);
  const char kind = reader.next();
  if (kind == '[') return paragraphs(reader, unescaped);
  if (kind != '"') reader.refuse(cat("the value of \"", key, "\" is neither a string nor a list of strings"));
  return reader.string(unescaped);
}

}  // namespace rk

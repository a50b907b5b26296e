#include "snapshotter/filter_scanner.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace sluice {
namespace {

// The white space beyond ASCII, as Go's unicode.IsSpace has it.
constexpr absl::string_view kWideSpaces[] = {
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
};

// How many bytes of white space the text begins with; one character's.
size_t SpaceBytes(absl::string_view text) {
  if (text.empty()) return 0;
  if (absl::ascii_isspace(static_cast<unsigned char>(text[0]))) return 1;
  for (const absl::string_view space : kWideSpaces) {
    if (absl::StartsWith(text, space)) return space.size();
  }
  return 0;
}

bool IsFieldByte(char c) { return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c)); }
bool IsOperatorByte(char c) { return c == '=' || c == '!' || c == '~'; }
// Bytes of multi-byte UTF-8 are all allowed but for white space.
bool IsValueByte(char c) { return c != ',' && static_cast<unsigned char>(c) > ' ' && c != 0x7f; }

void AppendUtf8(uint32_t rune, std::string& out) {
  if (rune < 0x80) {
    out.push_back(static_cast<char>(rune));
  } else if (rune < 0x800) {
    out.push_back(static_cast<char>(0xc0 | (rune >> 6)));
    out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else if (rune < 0x10000) {
    out.push_back(static_cast<char>(0xe0 | (rune >> 12)));
    out.push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  } else {
    out.push_back(static_cast<char>(0xf0 | (rune >> 18)));
    out.push_back(static_cast<char>(0x80 | ((rune >> 12) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | ((rune >> 6) & 0x3f)));
    out.push_back(static_cast<char>(0x80 | (rune & 0x3f)));
  }
}

}  // namespace

absl::Status FilterScanner::Error(absl::string_view cause) const {
  return absl::InvalidArgumentError(
      absl::StrCat("filter: ", absl::CHexEscape(text_), ": at byte ", position_, ": ", cause));
}

void FilterScanner::SkipSpace() {
  while (const size_t bytes = SpaceBytes(text_.substr(position_))) position_ += bytes;
}

bool FilterScanner::AtQuote() const { return Peek() == '"' || Peek() == '/' || Peek() == '|'; }

absl::StatusOr<std::string> FilterScanner::Field() {
  SkipSpace();
  if (AtQuote()) return Quoted(/*alternative_quotes=*/false);
  std::string field;
  for (; !AtEnd() && IsFieldByte(Peek()); Skip()) field.push_back(Peek());
  if (field.empty()) return Error("expected a field");
  return field;
}

absl::StatusOr<std::string> FilterScanner::Operator() {
  SkipSpace();
  std::string op;
  for (; !AtEnd() && IsOperatorByte(Peek()); Skip()) op.push_back(Peek());
  if (op.empty()) return Error("expected one of == != ~=");
  return op;
}

absl::StatusOr<std::string> FilterScanner::Value(bool alternative_quotes) {
  SkipSpace();
  if (AtQuote()) return Quoted(alternative_quotes);
  std::string value;
  // A separator or an operator can't begin a value, but may be inside it.
  if (Peek() == '.' || IsOperatorByte(Peek())) return Error("expected a value");
  for (; !AtEnd() && IsValueByte(Peek()) && SpaceBytes(text_.substr(position_)) == 0; Skip()) value.push_back(Peek());
  if (value.empty()) return Error("expected a value");
  return value;
}

absl::StatusOr<std::string> FilterScanner::Quoted(bool alternative_quotes) {
  const char quote = Peek();
  if (quote != '"' && !alternative_quotes) return Error("only \" may quote here");
  Skip();
  std::string out;
  while (!AtEnd() && Peek() != quote && Peek() != '\n') {
    if (Peek() == '\\') {
      Skip();
      RETURN_IF_ERROR(Escape(quote, out));
    } else {
      out.push_back(Peek());
      Skip();
    }
  }
  if (Peek() != quote) return Error("the quote is not closed");
  Skip();
  return out;
}

absl::Status FilterScanner::Escape(char quote, std::string& out) {
  constexpr absl::string_view kLetters = "abfnrtv\\";
  constexpr absl::string_view kMeanings = "\a\b\f\n\r\t\v\\";
  const char c = Peek();
  if (const size_t index = kLetters.find(c); index != absl::string_view::npos && !AtEnd()) {
    out.push_back(kMeanings[index]);
    Skip();
  } else if (c == quote) {
    out.push_back(c);
    Skip();
  } else if (c >= '0' && c <= '7') {
    ASSIGN_OR_RETURN(const uint32_t byte, Digits(8, 3));
    if (byte > 0xff) return Error("an octal escape is larger than a byte");
    out.push_back(static_cast<char>(byte));
  } else if (c == 'x') {
    Skip();
    ASSIGN_OR_RETURN(const uint32_t byte, Digits(16, 2));
    out.push_back(static_cast<char>(byte));
  } else if (c == 'u' || c == 'U') {
    Skip();
    ASSIGN_OR_RETURN(const uint32_t rune, Digits(16, c == 'u' ? 4 : 8));
    if (rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) return Error("not a Unicode character");
    AppendUtf8(rune, out);
  } else {
    return Error("unknown escape");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> FilterScanner::Digits(int base, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i, Skip()) {
    const unsigned char c = static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(Peek())));
    int digit = base;
    if (c >= '0' && c <= '9') digit = c - '0';
    if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
    if (digit >= base) return Error("a digit is missing in the escape");
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
  }
  return value;
}

}  // namespace sluice

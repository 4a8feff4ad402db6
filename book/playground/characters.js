// Text to ids and back, one id a character.

export class Characters {
  constructor({ characters, unknown }) {
    this.characters = [...characters];
    this.ids = new Map(this.characters.map((character, id) => [character, id]));
    this.fallback = unknown === null ? undefined : this.ids.get(unknown);
  }

  /** Return the characters of a text that have no id, each once. */
  unknown(text) {
    return [...new Set(text)].filter((character) => !this.ids.has(character));
  }

  /** Return the ids of a text.
   *
   * Raises an Error if the text is empty, and one that names the characters without an id, if nothing stands for them. */
  encode(text) {
    if (text === "") throw new Error("The prompt is empty; type at least one character for the model to continue.");
    const unknown = this.fallback === undefined ? this.unknown(text) : [];
    if (unknown.length > 0) {
      const several = unknown.length > 1 ? "characters" : "character";
      throw new Error(`This model was trained on ${this.characters.length} characters and does not know the ${several} ` +
        `${unknown.join(" ")}; leave ${unknown.length > 1 ? "them" : "it"} out, or choose another model.`);
    }
    return Array.from(text, (character) => this.ids.get(character) ?? this.fallback);
  }

  /** Return the text of some ids. */
  decode(ids) {
    return ids.map((id) => this.characters[id]).join("");
  }
}

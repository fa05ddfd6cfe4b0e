"""From a task's answer to the shapes that OpenAI's clients read."""
